"""The whole detector: learns from and finds objects in images of any size and number; its options; its errors."""

import copy

import pytest
import torch

from lambdanets.detection import create_detector
from lambdanets.layers import LambdaLayer
from lambdanets.models import count_parameters, create_model
from lambdanets.models.blocks import Bottleneck

SMALL = {
    "min_size": 96, "max_size": 96, "pyramid_dim": 16, "box_dims": (16,), "box_hidden": 32, "mask_dims": (16,),
    "anchor_sizes": (16, 24, 32, 48, 64), "proposals": (50, 30), "proposals_training": (50, 30), "boxes_sampled": 16,
    "anchors_sampled": 32, "canonical_size": 56,
}  # fmt: skip


def detector(backbone="lambda_tiny", **options):
    torch.manual_seed(0)
    return create_detector(backbone, num_classes=4, **SMALL | options)


def image(height, width, seed=1):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def target(height, width, count, chance=7):
    """`count` boxes, each filled by its mask."""
    draw = torch.Generator().manual_seed(count)
    sides = torch.tensor([width, height, width, height])
    boxes = torch.rand(count, 4, generator=draw) * sides / 2
    boxes[:, 2:] += boxes[:, :2] + 0.4
    masks = torch.zeros(count, height, width, dtype=torch.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.round().int().tolist(), strict=True):
        mask[y0 : y1 + 1, x0 : x1 + 1] = 1
    labels = torch.randint(1, 4, (count,), generator=draw)
    return {"boxes": boxes, "labels": labels, "masks": masks, "chance": torch.tensor(chance)}


CASES = {
    "one-size": ([(96, 96), (96, 96)], [2, 3]),
    "mixed-sizes": ([(70, 96), (96, 41)], [2, 1]),
    "one-image-without-objects": ([(96, 96), (64, 96)], [2, 0]),
    "no-object-at-all": ([(96, 96), (64, 96)], [0, 0]),
    "many-objects": ([(96, 96)], [200]),
    "a-line-of-pixels": ([(1, 4000)], [2]),
    "smaller-than-the-last-stride": ([(5, 7)], [1]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("scaled", [True, False], ids=["scaled", "as-given"])
def test_it_learns_from_and_finds_objects_in(case, scaled):
    sizes, counts = CASES[case]
    if case == "a-line-of-pixels" and not scaled:
        sizes = [(1, 400)]
    model = detector(scale_training=scaled)
    losses = model([image(*size) for size in sizes], [target(*size, n) for size, n in zip(sizes, counts, strict=True)])
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    broken = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert broken == []
    assert all(buffer.isfinite().all() for buffer in model.buffers())
    with torch.no_grad():
        found = model.eval()([image(*size) for size in sizes])
    for (height, width), one in zip(sizes, found, strict=True):
        assert len(one["boxes"]) == len(one["labels"]) == len(one["scores"]) > 0
        assert one["masks"].shape[1:] == (1, height, width)
        x0, y0, x1, y1 = one["boxes"].unbind(1)
        assert ((x0 >= 0) & (y0 >= 0) & (x1 <= width) & (y1 <= height) & (x1 > x0) & (y1 > y0)).all()
        assert all(one[name].isfinite().all() for name in ("boxes", "scores", "masks"))


def test_a_few_steps_lower_the_loss():
    model = detector()
    images, targets = [image(96, 96), image(80, 96)], [target(96, 96, 2), target(80, 96, 1)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    course = []
    for _ in range(8):
        loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.append(loss.item())
    assert course[-1] < 0.7 * course[0]


@pytest.mark.parametrize("frozen", [0, 1, 3, 5])
def test_frozen_stages_stay_as_they_are_and_the_rest_learns(frozen):
    model = detector(frozen_stages=frozen).train()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    sum(model([image(96, 96)], [target(96, 96, 2)]).values()).backward()
    optimizer.step()
    parts = ("stem", "step", "c2", "c3", "c4", "c5")
    changed = {
        part
        for part in parts
        for name, value in model.state_dict().items()
        if name.startswith(f"backbone.body.{part}.") and not torch.equal(value, before[name])
    }
    assert changed == set(parts[frozen + 1 if frozen else 0 :])


def test_frozen_norms_stay_as_they_are():
    model = detector(frozen_norms=True).train()
    before = copy.deepcopy(model.backbone.body.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    sum(model([image(96, 96)], [target(96, 96, 2)]).values()).backward()
    optimizer.step()
    after = model.backbone.body.state_dict()
    norms = [name for name in before if "norm" in name or "running" in name]
    assert norms
    assert all(torch.equal(before[name], after[name]) for name in norms)
    assert not torch.equal(before["c5.0.shortcut.1.weight"], after["c5.0.shortcut.1.weight"])


@pytest.mark.parametrize("sizes", [[(96, 96)], [(70, 96), (96, 41)]], ids=["one-size", "mixed-sizes"])
def test_checkpointing_changes_no_bit(sizes):
    plain = detector()
    recomputing = copy.deepcopy(plain)
    recomputing.backbone.body.set_grad_checkpointing()
    for model in (plain, recomputing):
        sum(model([image(*size) for size in sizes], [target(*size, 2) for size in sizes]).values()).backward()
    for (name, ours), theirs in zip(recomputing.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0, msg=name)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(recomputing.state_dict()[name], value, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("levels", [(2, 3, 4, 5), (3, 4, 5, 6), (2, 3), (3,)], ids=str)
def test_any_levels_will_do_and_what_is_above_is_not_computed(levels):
    model = detector(levels=levels, anchor_sizes=SMALL["anchor_sizes"][: len(levels)])
    sum(model([image(96, 96), image(50, 96)], [target(96, 96, 2), target(50, 96, 1)]).values()).backward()
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {name for name, p in model.named_parameters() if p.grad is not None}
    assert any(name.startswith("backbone.body.c5.") for name in learning) == (levels[-1] >= 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pyramid_dims": 3}, "pyramid_dim"),
        ({"levels": (2, 4)}, "without gaps"),
        ({"levels": (6,)}, "not 6 alone"),
        ({"anchor_sizes": (8, 16)}, "one size a level"),
        ({"min_size": 200}, "above max_size"),
        ({"frozen_stages": 6}, "0 to 5"),
        ({"box_dims": ()}, "one number or more"),
        ({"backbone": "lambda_resnet100"}, "lambda_resnet101"),
    ],
    ids=str,
)
def test_options_that_fit_nothing_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        detector(**options)


@pytest.mark.parametrize(
    ("images", "targets", "words"),
    [
        ([], [], "no images"),
        ([torch.rand(1, 96, 96)], [target(96, 96, 1)], "3, rows, columns"),
        ([image(96, 96)], None, "one an image"),
        ([image(96, 96)], [{"boxes": torch.zeros(0, 4)}], "labels, masks"),
        ([image(96, 96)], [target(96, 90, 1)], "wanted .n, 4."),
        ([image(96, 96)], [target(96, 96, 2) | {"boxes": torch.ones(2, 4)}], "without an area"),
        ([image(96, 96)], [target(96, 96, 2) | {"labels": torch.tensor([1, 4])}], "1 to 3"),
    ],
    ids=["no-images", "grey", "no-targets", "half-a-target", "masks-of-another-size", "flat-box", "unknown-label"],
)
def test_images_and_targets_of_another_form_are_refused(images, targets, words):
    with pytest.raises(ValueError, match=words):
        detector()(images, targets)


def test_the_demo_networks_are_twins_but_for_their_mixers():
    lambdas, convolutions = (detector(name).backbone.body for name in ("lambda_scenes", "conv_scenes"))
    mixers = {type(block.mixer) for body in (lambdas,) for block in body.modules() if isinstance(block, Bottleneck)}
    assert mixers == {LambdaLayer}
    assert not any(isinstance(part, LambdaLayer) for part in convolutions.modules())
    assert [info["num_chs"] for info in lambdas.feature_info] == [info["num_chs"] for info in convolutions.feature_info]
    counts = [count_parameters(body) for body in (lambdas, convolutions)]
    assert max(counts) / min(counts) < 1.1


@pytest.mark.parametrize("sizes", [[(96, 96)], [(70, 96), (96, 41)]], ids=["one-size", "mixed-sizes"])
def test_bfloat16_stays_finite_and_its_losses_are_single_precision(sizes):
    model = detector(norms=True)
    images = [image(*size) for size in sizes]
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(images, [target(*size, 2) for size in sizes])
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = model.eval()(images)
    assert all(part.isfinite().all() for one in found for part in one.values())
    assert {one["boxes"].dtype for one in found} == {torch.float32}


def test_scaled_sides_are_exact():
    sizing = detector(min_size=800, max_size=1024).transform
    for height in (1, 7, 333, 999, 1000, 1023, 4000):
        for width in (1, 31, 500, 750, 1023, 3333):
            sides = sizing.size_for_network(height, width)
            assert min(sides) == 800 or max(sides) == 1024
            assert max(sides) <= 1024
    assert sizing.size_for_network(1000, 750) == (1024, 768)
    assert sizing.size_for_network(1, 4000) == (1, 1024)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proposals": (5,)}, r"proposals is \(5,\); wanted 2 numbers"),
        ({"proposals": 5}, "proposals is 5; wanted 2 numbers"),
        ({"std": (0.0, 0.0, 0.0)}, "std is .* each finite and above 0"),
        ({"mean": (0.5,)}, "mean is .* wanted 3 numbers"),
        ({"score_threshold": float("nan")}, "score_threshold is nan"),
        ({"anchor_sizes": ((8,), (16,), (32,), (64,), (128,))}, "anchor_sizes is .* each finite"),
        ({"anchor_sizes": (float("inf"),) * 5}, "anchor_sizes is .* each finite"),
        ({"box_dims": 16}, "box_dims is 16; wanted one number or more"),
        ({"min_size": 200, "max_size": 96}, "raise that, or lower min_size"),
    ],
)
def test_numbers_that_no_detector_can_have_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_detector("lambda_scenes", num_classes=3, **options)


def test_a_grey_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="takes 1 channels"):
        create_detector(create_model("lambda_tiny", in_chans=1), num_classes=3)


def test_images_are_a_list() -> None:
    with pytest.raises(ValueError, match=r"got a Tensor of shape \(2, 3, 64, 64\) for images; give a list"):
        create_detector("lambda_scenes", num_classes=3)(torch.rand(2, 3, 64, 64))
