"""Networks from a spec and a maker of mixers: every maker, any width, fewer stages, what goes wrong said clearly."""

import copy

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torchvision.ops import SqueezeExcitation

from lambdanets.layers import LambdaLayer, SqueezeExcite, attention
from lambdanets.models import count_parameters, create_model
from lambdanets.models.attentions import (
    AttentionOptions,
    AugmentedConvolutions,
    AugmentedOptions,
    AxialAttentions,
    LinearAttentions,
    LocalAttentions,
    LocalOptions,
    RelativeAttentions,
)
from lambdanets.models.blocks import Bottleneck
from lambdanets.models.build import Convolutions, build_network
from lambdanets.models.lambdas import LambdaLayers, LambdaOptions
from lambdanets.models.spec import NetworkOptions, NetworkSpec, StageSpec

FEW_HEADS = {"num_heads": 2}
MAKERS = {
    "convolution": lambda: Convolutions(),
    "dilated": lambda: Convolutions(dilation=3),
    "linear": lambda: LinearAttentions(AttentionOptions(**FEW_HEADS)),
    "relative": lambda: RelativeAttentions(AttentionOptions(**FEW_HEADS), image_size=32),
    "augmented": lambda: AugmentedConvolutions(AugmentedOptions(value_share=0.25, **FEW_HEADS), image_size=32),
    "axial": lambda: AxialAttentions(AttentionOptions(**FEW_HEADS), image_size=32),
    "local": lambda: LocalAttentions(LocalOptions(**FEW_HEADS)),
    "lambda": lambda: LambdaLayers(LambdaOptions(scope=5, **FEW_HEADS)),
}


def small_network(kind, *, stages=1, **more):
    specs = tuple(StageSpec(blocks=2, width=8, mixer_blocks=(1, 2), **more) for _ in range(stages))
    spec = NetworkSpec(stages=specs, design="tiny", image_size=32, stem_dim=8, expansion=2)
    torch.manual_seed(0)
    return build_network(spec, NetworkOptions(), num_classes=2, in_chans=1, mixers=MAKERS[kind]())


def images(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("width", [8, 24])
@pytest.mark.parametrize("stride", [1, 2])
def test_every_maker_gives_a_mixer_of_any_width(kind, width, stride):
    mixer = MAKERS[kind]().layer(width, reduction=4, stride=stride)
    assert mixer(images(2, width, 7, 10)).shape == (2, width, -(-7 // stride), -(-10 // stride))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_network_of_two_stages_learns_everywhere(kind):
    model = small_network(kind, stages=2)
    for block in (*model.c2, *model.c3):
        nn.init.constant_(block.norm_expand.weight, 1 / 3)
    model(images(2, 1, 48, 32)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


def test_a_network_of_one_stage_has_one_map_and_no_more():
    model = small_network("lambda").eval()
    x = images(1, 1, 32, 40)
    assert {name: tuple(map_.shape) for name, map_ in model.features(x).items()} == {"c2": (1, 16, 8, 10)}
    assert [map_.shape[1] for map_ in model.forward_intermediates(x, intermediates_only=True)] == [8, 16]
    with pytest.raises(ValueError, match="wanted some of 0 … 1"):
        model.forward_intermediates(x, indices=[2])
    visible = torch.ones(1, 32, 40, dtype=torch.bool)
    torch.testing.assert_close(model.features(x, visible)["c2"], model.features(x)["c2"])
    model.train()(images(1, 1, 32, 32))  # 64 values a channel, where the last of four stages would have one


def test_mixers_stand_where_the_spec_says():
    stage = StageSpec(blocks=3, width=8, mixer_blocks=(2,))
    spec = NetworkSpec(stages=(stage,), design="tiny", image_size=32, stem_dim=8)
    model = build_network(spec, NetworkOptions(), num_classes=2, in_chans=1, mixers=MAKERS["local"]())
    kinds = [type(block.mixer) for block in model.c2]
    assert kinds == [nn.Conv2d, attention.LocalAttention, nn.Conv2d]


def test_a_dilated_convolution_reaches_further_and_keeps_the_map():
    mixer = Convolutions(dilation=3).layer(1, reduction=4, stride=1)
    nn.init.ones_(mixer.weight)
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 4] = 1
    assert mixer(point)[0, 0].nonzero().tolist() == [[row, column] for row in (1, 4, 7) for column in (1, 4, 7)]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("kind", ["linear", "relative", "augmented", "axial", "local"])
def test_gradients_at_batch_1_agree_with_finite_differences(kind, memory_format):
    """See the like test of lambda networks: BatchNorm's silent fault shows in what stands before the mixer."""
    block = Bottleneck(6, 8, 6, mixer=MAKERS[kind]().layer(8, reduction=4, stride=1), shortcut=nn.Identity())
    nn.init.constant_(block.norm_expand.weight, 1 / 3)
    block = block.double().to(memory_format=memory_format)
    x = images(1, 6, 4, 5, dtype=torch.float64).to(memory_format=memory_format)
    weight = torch.linspace(-1, 1, x.numel(), dtype=torch.float64).view_as(x)
    (block(x) * weight).sum().backward()
    for name, parameter in block.named_parameters():
        direction, losses = torch.randn_like(parameter), []
        step = 1e-8  # small enough to cross hardly a kink of a ReLU
        with torch.no_grad():
            for shift in (step, -2 * step, step):
                parameter.add_(direction, alpha=shift)
                losses.append((block(x) * weight).sum())
        slope = (losses[0] - losses[1]) / (2 * step)
        # Rounding of the loss over the step, as in the like test; the fault to find is of order 1.
        assert (slope - (parameter.grad * direction).sum()).abs() <= 1e-5, name


def test_squeeze_excite_is_torchvision_s():
    ours, theirs = SqueezeExcite(32, ratio=1 / 16), SqueezeExcitation(32, 2)
    with torch.no_grad():
        for linear, convolution in ((ours.squeeze, theirs.fc1), (ours.excite, theirs.fc2)):
            convolution.weight.copy_(linear.weight[..., None, None])
            convolution.bias.copy_(linear.bias)
    x, y = images(2, 32, 3, 5).requires_grad_(), images(2, 32, 3, 5).requires_grad_()
    found, expected = ours(x), theirs(y)
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_squeeze_excite_of_the_study_has_a_reduction_of_16_in_every_bottleneck():
    with torch.device("meta"):
        model = create_model("resnet50_se")
    blocks = [block for stage in (model.c2, model.c3, model.c4, model.c5) for block in stage]
    assert all(
        b.squeeze_excite.squeeze.out_features * 16 == b.squeeze_excite.squeeze.in_features == b.expand.out_channels
        for b in blocks
    )


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("resnet50_linear_attention", attention.LinearAttention, 16),
        ("resnet50_attention", attention.RelativeAttention, 16),
        ("resnet50_augmented", attention.AugmentedConvolution, 13),
        ("resnet50_axial_attention", attention.AxialAttention, 16),
        ("resnet50_local_attention", attention.LocalAttention, 16),
    ],
)
def test_the_baselines_hold_what_their_names_say(name, kind, count):
    with torch.device("meta"):
        model = create_model(name)
    assert sum(isinstance(part, kind) for part in model.modules()) == count
    assert not any(isinstance(part, LambdaLayer) for part in model.modules())


@pytest.mark.parametrize(("share", "millions"), [(0.25, 24.3), (0.5, 22.3), (0.75, 20.7)], ids=lambda value: str(value))
def test_augmented_networks_of_other_shares_have_the_counts_of_their_paper(share, millions):
    """As remembered of it. Without the least depth of 20 a head the first two would be 23.8 and 22.1."""
    with torch.device("meta"):
        model = create_model("resnet50_augmented", key_share=share, value_share=share)
    assert round(count_parameters(model) / 1e6, 1) == millions


def test_embeddings_reach_as_far_as_the_images_that_the_network_is_meant_for():
    with torch.device("meta"):
        model = create_model("resnet50_attention")
    sides = [[block.mixer.rows.side for block in stage] for stage in (model.c2, model.c3, model.c4, model.c5)]
    assert sides == [[56] * 3, [56, 28, 28, 28], [28, *[14] * 5], [14, 7, 7]]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet50_se", {"num_heads": 4}, "resnet50_se has no option 'num_heads'"),
        ("resnet50_attention", {"scope": 7}, "resnet50_attention has no option 'scope'"),
        ("resnet50_attention", {"num_heads": 7}, "num_heads=8 does|the heads must divide"),
        ("resnet50_local_attention", {"scope": 6}, "scope is 6; the side of the window must be odd: 7 is"),
        ("resnet50_local_attention", {"scope": 65}, "scope is 65; it must be a whole number, 1 to 63"),
        ("resnet50_augmented", {"value_share": 1.0}, "value_share is 1.0; it must be a number between 0 and 1"),
        ("resnet50_augmented", {"min_dim_key": 0}, "min_dim_key is 0"),
        ("resnet50_axial_attention", {"drop_rate": 2}, "drop_rate is 2"),
    ],
)
def test_bad_options_are_one_clear_error(name, options, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        create_model(name, **options)


@pytest.mark.parametrize("kind", ["linear", "relative", "augmented", "axial", "local"])
def test_padding_is_refused_where_it_would_be_taken_for_image(kind):
    visible = torch.ones(1, 32, 32, dtype=torch.bool)
    with pytest.raises(ValueError, match="takes padding for image; give images of one size"):
        small_network(kind).eval().features(images(1, 1, 32, 32), visible)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["linear", "relative", "augmented", "axial", "local"])
def test_one_graph_serves_all_sizes(kind):
    model, counter = small_network(kind, stages=2).eval(), CompileCounter()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=counter)
    for batch, height, width in ((2, 64, 96), (3, 96, 64), (2, 160, 64)):
        x = images(batch, 1, height, width)
        torch.testing.assert_close(compiled(x), model(x), rtol=0, atol=1e-5)
    assert counter.frame_count == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["linear", "relative", "augmented", "axial", "local"])
def test_an_exported_network_takes_other_sizes(kind):
    model = small_network(kind, stages=2).eval()
    batch, rows, columns = (torch.export.Dim(key, min=2, max=16) for key in ("batch", "rows", "columns"))
    sizes = ({0: batch, 2: 32 * rows, 3: 32 * columns},)
    exported = torch.export.export(model, (images(2, 1, 64, 96),), dynamic_shapes=sizes).module()
    x = images(3, 1, 128, 64)
    torch.testing.assert_close(exported(x), model(x))


@pytest.mark.parametrize("kind", ["relative", "axial", "local", "lambda"])
def test_copies_compute_the_same(kind):
    model = small_network(kind).eval()
    x = images(1, 1, 32, 32)
    torch.testing.assert_close(copy.deepcopy(model)(x), model(x), rtol=0, atol=0)
