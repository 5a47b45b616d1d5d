"""Every parameter of every network learns; gradients are right at batch 1; one graph serves all sizes."""

import copy
import io

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from lambdanets.models import create_model, list_models
from lambdanets.models.blocks import Bottleneck


def awake(model):
    """The model with scales of zero, which hide a fresh bottleneck's branch, set to a third."""
    for module in model.modules():
        if isinstance(module, Bottleneck):
            nn.init.constant_(module.norm_expand.weight, 1 / 3)
    return model


def random_images(*shape, dtype=torch.float32):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", list_models())
def test_every_parameter_of_every_network_gets_a_gradient(name):
    torch.manual_seed(0)
    model = awake(create_model(name, num_classes=10))
    model(random_images(2, 3, 64, 64)).square().sum().backward()
    without = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    broken = [key for key, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    assert (without, broken) == ([], [])


@pytest.mark.parametrize("options", [{"shared_tables": True}, {"dim_intra": 4}, {"content": False}, {"scope": None}])
def test_every_parameter_gets_a_gradient_with_options(options):
    torch.manual_seed(0)
    model = awake(create_model("resnet50_cccl", num_classes=10, **options))
    model(random_images(2, 3, 64, 64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_gradients_at_batch_1_agree_with_finite_differences(memory_format):
    """At batch 1 PyTorch's BatchNorm on CPU is wrong, silently, for gradients strided like a transposed tensor."""
    torch.manual_seed(0)
    model = awake(create_model("lambda_tiny", num_classes=3)).double().to(memory_format=memory_format)
    images = random_images(1, 3, 33, 48, dtype=torch.float64).to(memory_format=memory_format)
    model(images).square().sum().backward()
    for key, parameter in model.named_parameters():
        direction = torch.randn_like(parameter)
        step = 1e-8  # small enough to cross hardly a kink of a ReLU
        losses = []
        with torch.no_grad():
            for shift in (step, -2 * step, step):
                parameter.add_(direction, alpha=shift)
                losses.append(model(images).square().sum())
        slope = (losses[0] - losses[1]) / (2 * step)
        expected = (parameter.grad * direction).sum()
        # Rounding: 1e-16 of the loss, a hundredfold for the depth, over the step. The fault to find is of order 1.
        tolerance = 1e-6 * (losses[0] + parameter.grad.norm() * direction.norm())
        assert (slope - expected).abs() <= tolerance, key


def test_gradient_checkpointing_changes_neither_gradients_nor_running_statistics():
    torch.manual_seed(0)
    plain = awake(create_model("lambda_tiny", num_classes=3, drop_path_rate=0.3))
    recomputing = copy.deepcopy(plain)
    recomputing.set_grad_checkpointing()
    images = random_images(3, 3, 40, 32)
    for model in (plain, recomputing):
        torch.manual_seed(7)
        model(images).square().sum().backward()
    for (key, ours), theirs in zip(recomputing.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0, msg=key)
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(recomputing.state_dict()[key], value, rtol=0, atol=0, msg=key)


def test_gradient_checkpointing_stores_less():
    plain, recomputing = (create_model("resnet50_cccl", num_classes=3, checkpointing=flag) for flag in (False, True))
    assert stored_bytes(recomputing) < stored_bytes(plain) / 2


def stored_bytes(model):
    """What one forward pass keeps for the backward pass, the model's own tensors aside."""
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    sizes = {}

    def remember(tensor):
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = 0 if storage.data_ptr() in own else storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        loss = model(random_images(4, 3, 64, 64)).sum()
    assert loss.isfinite()
    return sum(sizes.values())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_copies_are_whole(device):
    with torch.device(device):
        model = create_model("lambda_tiny", shared_tables=True, num_classes=3).eval()
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(model), torch.load(buffer, weights_only=False)):
        assert [p.shape for p in twin.parameters()] == [p.shape for p in model.parameters()]
        if device == "cpu":
            images = random_images(1, 3, 32, 32)
            torch.testing.assert_close(twin(images), model(images), rtol=0, atol=0)


@pytest.mark.slow
def test_one_graph_serves_all_sizes():
    torch.manual_seed(0)
    model = create_model("lambda_tiny", num_classes=3).eval()
    counter = CompileCounter()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=counter)
    for batch, height, width in ((2, 64, 96), (3, 160, 64), (5, 128, 224)):
        images = random_images(batch, 3, height, width)
        torch.testing.assert_close(compiled(images), model(images), rtol=0, atol=1e-5)
    assert counter.frame_count == 1


@pytest.mark.slow
def test_an_exported_network_takes_other_sizes():
    """In multiples of 32: PyTorch cannot prove for the rest that a pool in ceil mode never opens an empty window."""
    torch.manual_seed(0)
    model = create_model("lambda_tiny", num_classes=3).eval()
    batch, rows, columns = (torch.export.Dim(key, min=2, max=16) for key in ("batch", "rows", "columns"))
    sizes = ({0: batch, 2: 32 * rows, 3: 32 * columns},)
    exported = torch.export.export(model, (random_images(2, 3, 64, 96),), dynamic_shapes=sizes).module()
    images = random_images(3, 3, 128, 64)
    torch.testing.assert_close(exported(images), model(images))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_stays_finite(dtype):
    torch.manual_seed(0)
    model = awake(create_model("lambda_tiny", num_classes=3))
    with torch.autocast("cpu", dtype):
        logits = model(random_images(2, 3, 64, 64))
    logits.float().square().sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters())
