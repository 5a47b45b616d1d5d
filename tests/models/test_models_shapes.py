"""Shapes of logits and maps at every kind of size, and clear errors for images that no stage could take."""

import math

import pytest
import torch

from lambdanets.models import create_model, list_models
from lambdanets.models.registry import model_family

DIMS = [256, 512, 1024, 2048]
STRIDES = {"c2": 4, "c3": 8, "c4": 16, "c5": 32}


@pytest.fixture(scope="module")
def tiny():
    return create_model("lambda_tiny", num_classes=10).eval()


@pytest.mark.parametrize("name", list_models())
def test_every_network_gives_logits_and_a_map_a_stage(name):
    with torch.device("meta"):
        model = create_model(name, num_classes=7, in_chans=1).eval()
        images = torch.empty(2, 1, 70, 33)
    maps = model.features(images)
    spec = model_family(name).specs[name]
    assert list(maps) == list(STRIDES)[: len(spec.stages)]
    assert model.forward_head(list(maps.values())[-1]).shape == (2, 7)
    dims = [info["num_chs"] for info in model.feature_info[1:]]
    assert dims == [stage.width * spec.expansion for stage in spec.stages]
    assert "resnet" not in name or dims == DIMS
    for (stage, map_), dim in zip(maps.items(), dims, strict=True):
        assert map_.shape == (2, dim, math.ceil(70 / STRIDES[stage]), math.ceil(33 / STRIDES[stage]))


@pytest.mark.parametrize("name", ["lambda_resnet50", "resnet50_clll", "lambda_tiny"])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (63, 32), (97, 65)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_any_size_from_32_pixels_runs(name, size):
    torch.manual_seed(0)
    model = create_model(name, num_classes=3).eval()
    with torch.no_grad():
        images = torch.randn(1, 3, *size)
        maps = model.features(images)
        assert {stage: map_.shape[2:] for stage, map_ in maps.items()} == {
            stage: tuple(math.ceil(side / stride) for side in size) for stage, stride in STRIDES.items()
        }
        logits = model(images)
    assert logits.shape == (1, 3)
    torch.testing.assert_close(logits, model.forward_head(maps["c5"]), rtol=0, atol=0)


def test_channels_last_and_contiguous_agree(tiny):
    images = torch.randn(2, 3, 64, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = tiny.double()
    expected = model.features(images)
    found = model.features(images.to(memory_format=torch.channels_last))
    tiny.float()
    for stage, map_ in expected.items():
        torch.testing.assert_close(found[stage], map_, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 3, 31, 64), "images are 31 × 64; wanted at least 32 × 32 pixels: resize or pad"),
        (torch.zeros(2, 3, 64, 0), "images are 64 × 0; wanted at least"),
        (torch.zeros(0, 3, 32, 32), "an empty batch; give at least one image"),
        (torch.zeros(2, 1, 32, 32), r"shape \(2, 1, 32, 32\); wanted \(batch, 3, height, width\)"),
        (torch.zeros(3, 32, 32), r"shape \(3, 32, 32\); wanted \(batch, 3, height, width\)"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), "images are torch.uint8; wanted floating point"),
    ],
    ids=["too-small", "no-width", "no-image", "wrong-channels", "no-batch-axis", "integers"],
)
@pytest.mark.parametrize("method", ["forward", "features", "forward_features", "forward_intermediates"])
def test_bad_images_are_one_clear_error(tiny, images, message, method):
    with pytest.raises(ValueError, match=message):
        getattr(tiny, method)(images)


@pytest.mark.parametrize("name", ["lambda_tiny", "resnet50_cccc"])
def test_one_value_a_channel_is_refused_in_training_only(name):
    model = create_model(name, num_classes=3)
    images = torch.randn(1, 3, 32, 32)
    with pytest.raises(ValueError, match=r"one value a channel.* batch of 2 .* above 32 pixels, or call eval"):
        model(images)
    assert model(torch.randn(1, 3, 33, 32)).shape == (1, 3)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 3)
    assert model.eval()(images).shape == (1, 3)


def test_one_value_a_channel_is_fine_with_frozen_norms():
    model = create_model("lambda_tiny", num_classes=3)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    assert model(torch.randn(1, 3, 32, 32)).shape == (1, 3)


@pytest.mark.parametrize(
    ("kind", "multiple"), [("avg", 1), ("max", 1), ("avgmax", 1), ("catavgmax", 2)], ids=lambda value: str(value)
)
def test_global_pools(kind, multiple):
    model = create_model("lambda_tiny", num_classes=5, global_pool=kind).eval()
    map_ = torch.randn(2, model.num_features, 3, 4)
    mean, largest = map_.mean((2, 3)), map_.amax((2, 3))
    expected = {"avg": mean, "max": largest, "avgmax": (mean + largest) / 2, "catavgmax": torch.cat((mean, largest), 1)}
    torch.testing.assert_close(model.forward_head(map_, pre_logits=True), expected[kind])
    assert model.head_hidden_size == multiple * model.num_features
    assert model.forward_head(map_).shape == (2, 5)


def test_dropout_acts_before_the_classifier_in_training_only():
    model = create_model("lambda_tiny", num_classes=5, drop_rate=0.5)
    map_ = torch.ones(4, model.num_features, 2, 2)
    values = model.forward_head(map_, pre_logits=True).unique()
    torch.testing.assert_close(values, torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(model.eval().forward_head(map_, pre_logits=True), torch.ones(4, model.num_features))
