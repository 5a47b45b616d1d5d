"""Padding leaves no trace: not in a lambda layer, a network's maps, the pyramid, the losses, or the detections."""

import copy

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn import functional as F

from lambdanets.detection import create_detector
from lambdanets.detection.sizes import edge_repeated
from lambdanets.layers import LambdaLayer
from lambdanets.layers.synced_norm import sync_norms
from lambdanets.models import create_model
from lambdanets.models.blocks import Bottleneck
from lambdanets.models.padded import halved

OPTIONS = {
    "min_size": 96, "max_size": 96, "scale_training": False, "pyramid_dim": 16, "box_dims": (16,), "box_hidden": 32,
    "mask_dims": (16,), "anchor_sizes": (16, 24, 32, 48, 64), "proposals": (60, 20), "proposals_training": (60, 20),
    "boxes_sampled": 16, "anchors_sampled": 32, "canonical_size": 56, "score_threshold": 0.0,
}  # fmt: skip


def awake(model):
    """The model with norms that do something, and no branch hidden behind a scale of zero."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, std=0.2)
            nn.init.normal_(part.bias, std=0.2)
        if isinstance(part, Bottleneck):
            nn.init.constant_(part.norm_expand.weight, 1 / 3)
    return model


def drawn(*shape, seed=1, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def on_larger(x, height, width, filling=9.0):
    """The map in the upper left corner of a larger one, and where it is."""
    larger = torch.full((*x.shape[:-2], height, width), filling, dtype=x.dtype)
    larger[..., : x.shape[-2], : x.shape[-1]] = x
    visible = torch.zeros(x.shape[0], height, width, dtype=torch.bool)
    visible[:, : x.shape[-2], : x.shape[-1]] = True
    return larger, visible


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("scope", [7, 23, (63, 63), None], ids=["7", "23", "global", "content-only"])
def test_a_lambda_layer_on_a_padded_map_gives_what_it_gives_on_the_crop(scope, stride, train):
    torch.manual_seed(0)
    layer = LambdaLayer(32, dim_key=8, scope=scope, stride=stride).train(train)
    x = drawn(2, 32, 19, 13)
    want = layer(x)
    larger, visible = on_larger(x, 32, 32)
    got = layer(larger, context_mask=visible)[..., : want.shape[-2], : want.shape[-1]]
    # 1e-5 of the output's own scale: a table of N(0, 1) makes it as large as the root of the positions in scope.
    torch.testing.assert_close(got / want.std(), want / want.std(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lambda_tiny", {}),
        ("lambda_tiny", {"checkpointing": True, "dim_intra": 2}),
        ("resnet50_ccll", {"drop_path_rate": 0.1}),
        ("lambda_resnet50", {"shared_tables": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
def test_the_maps_of_a_network_on_a_padded_image_are_those_of_the_crop(name, options, train):
    torch.manual_seed(0)
    alone = awake(create_model(name, num_classes=0, **options).double()).train(train)
    together = copy.deepcopy(alone)
    images = drawn(2, 3, 45, 67, dtype=torch.float64)
    torch.manual_seed(3)
    want = alone.features(images)
    torch.manual_seed(3)
    got = together.features(*on_larger(images, 96, 96))
    for stage, crop in want.items():
        rows, columns = (wide - side for wide, side in zip(got[stage].shape[-2:], crop.shape[-2:], strict=True))
        padded = F.pad(crop, (0, columns, 0, rows))
        scale = crop.abs().max()
        torch.testing.assert_close(got[stage] / scale, padded / scale, rtol=0, atol=1e-10, msg=stage)
    for maps in (want, got):
        sum((crop / crop.detach().abs().max()).square().sum() for crop in maps.values()).backward()
    for (key, ours), theirs in zip(together.named_parameters(), alone.parameters(), strict=True):
        scale = theirs.grad.abs().max().clamp(min=1e-12)
        torch.testing.assert_close(ours.grad / scale, theirs.grad / scale, rtol=0, atol=1e-7, msg=key)
    for key, buffer in alone.named_buffers():
        torch.testing.assert_close(dict(together.named_buffers())[key], buffer, rtol=1e-9, atol=1e-9, msg=key)


@pytest.mark.parametrize("backbone", ["lambda_scenes", "conv_scenes"])
def test_detections_in_an_image_do_not_depend_on_what_it_is_batched_with(backbone):
    torch.manual_seed(0)
    model = awake(create_detector(backbone, num_classes=4, **OPTIONS).double()).eval()
    small, large = torch.rand(3, 40, 96, dtype=torch.float64), torch.rand(3, 96, 96, dtype=torch.float64)
    with torch.no_grad():
        (alone,), (together, _) = model([small]), model([small, large])
    assert len(alone["boxes"]) > 0
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=0, atol=1e-8, msg=name)


def example(height, width, chance):
    boxes = torch.tensor([[2.0, 3, width * 0.6, height * 0.7], [width * 0.4, 1, width, height]], dtype=torch.float64)
    masks = torch.zeros(2, height, width, dtype=torch.uint8)
    masks[0, 3 : height // 2, 2 : width // 2] = 1
    masks[1, :, width // 2 :] = 1
    return {"boxes": boxes, "labels": torch.tensor([1, 2]), "masks": masks, "chance": torch.tensor(chance)}


def test_losses_of_a_batch_are_means_of_those_of_its_images():
    """With norms that stay as they are; every image has as many samples here as any other."""
    torch.manual_seed(0)
    model = awake(create_detector("lambda_scenes", num_classes=4, norms=False, frozen_norms=True, **OPTIONS).double())
    model.train()
    sizes = ((40, 96), (96, 64))
    images = [torch.rand(3, *size, dtype=torch.float64) for size in sizes]
    targets = [example(*size, chance) for chance, size in enumerate(sizes, 5)]
    together = model(images, targets)
    counts = model.num_learned_from()
    expected = dict.fromkeys(together, 0.0)
    for image, target in zip(images, targets, strict=True):
        losses = model([image], [target])
        for name, count in model.num_learned_from().items():
            expected[name] += losses[name] * count / counts[name]
    for name, loss in together.items():
        torch.testing.assert_close(loss, expected[name], rtol=1e-10, atol=1e-10, msg=name)


SIZES = ((40, 96), (96, 64), (96, 96), (64, 64))
"""The first process has the first three images, which need padding; the other has one, which needs none."""
SPLIT = ((0, 1, 2), (3,))


def learned_from(model, numbers):
    """The gradients and buffers after the sum of the losses of some images, each counted as often as it was sampled."""
    images = [
        torch.rand(3, *SIZES[i], dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in numbers
    ]
    losses = model(images, [example(*SIZES[i], chance=i) for i in numbers])
    counts = model.num_learned_from()
    sum(losses[name] * counts[name] for name in losses).backward()
    return [p.grad for p in model.parameters()], list(model.buffers())


def scene_detector():
    torch.manual_seed(0)
    return awake(create_detector("lambda_scenes", num_classes=4, **OPTIONS).double()).train()


def one_of_two(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.set_num_threads(1)
    torch.save(learned_from(sync_norms(scene_detector()), SPLIT[rank]), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_learn_what_one_does_though_they_pad_otherwise(tmp_path):
    mp.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    (first, buffers), (second, others) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    grads, expected = learned_from(scene_detector(), range(4))
    for mine, other, whole in zip(first, second, grads, strict=True):
        scale = whole.abs().max().clamp(min=1e-9)
        torch.testing.assert_close((mine + other) / scale, whole / scale, rtol=0, atol=1e-9)
    for mine, other, whole in zip(buffers, others, expected, strict=True):
        torch.testing.assert_close(mine, whole, rtol=1e-10, atol=1e-10)
        assert torch.equal(mine, other)


def test_statistics_of_norms_do_not_depend_on_padding():
    torch.manual_seed(0)
    plain = awake(create_detector("lambda_scenes", num_classes=4, **OPTIONS).double()).train()
    padded = copy.deepcopy(plain)
    image = torch.rand(3, 64, 64, dtype=torch.float64)
    larger, visible = on_larger(image[None], 96, 128)
    levels, _ = plain.backbone(image[None])
    others, seen = padded.backbone(larger, visible)
    for name, level in levels.items():
        rows, columns = level.shape[-2:]
        torch.testing.assert_close(others[name][..., :rows, :columns], level, rtol=1e-9, atol=1e-9, msg=name)
        assert seen[name].sum() == rows * columns
    for (name, ours), theirs in zip(padded.backbone.named_buffers(), plain.backbone.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize(("size", "stride"), [(1, 2), (5, 2), (6, 2), (7, 3)])
def test_a_mask_shrinks_as_a_map_does(size, stride):
    visible = torch.arange(12)[None, None] < size
    assert halved(visible, stride).sum() == nn.MaxPool1d(3, stride, 1)(torch.zeros(1, 1, size)).shape[-1]


def test_the_edge_is_repeated_once():
    visible = torch.zeros(2, 4, 5, dtype=torch.bool)
    visible[0, :2, :3] = True
    visible[1] = True
    x = torch.arange(40.0).view(2, 1, 4, 5) * visible[:, None]
    got = edge_repeated(x, visible)
    assert got[0, 0].tolist() == [[0, 1, 2, 2, 0], [5, 6, 7, 7, 0], [5, 6, 7, 7, 0], [0, 0, 0, 0, 0]]
    assert torch.equal(got[1], x[1])


def test_a_mask_of_another_form_is_refused():
    model = create_model("lambda_tiny", num_classes=0)
    with pytest.raises(ValueError, match="wanted bool of shape"):
        model.features(drawn(2, 3, 64, 64), torch.ones(2, 64, 32, dtype=torch.bool))
