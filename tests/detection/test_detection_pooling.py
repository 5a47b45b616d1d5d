"""RoIAlign by matrix products is torchvision's, and every level has the scale of its stride."""

import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import initLevelMapper

from lambdanets.detection.pooling import LevelPool


def drawn_boxes(count, seed):
    """Boxes that also reach beyond the map, or are much smaller than a position of it."""
    draw = torch.Generator().manual_seed(seed)
    boxes = torch.rand(count, 4, generator=draw, dtype=torch.float64) * 90 - 8
    boxes[:, 2:] = boxes[:, :2] + torch.rand(count, 2, generator=draw, dtype=torch.float64) ** 3 * 90
    return boxes


@pytest.mark.parametrize("counts", [(30, 9), (12, 0), (0, 0)], ids=str)
@pytest.mark.parametrize("side", [7, 14])
@pytest.mark.parametrize("levels", [[2], [2, 3]], ids=str)
def test_values_and_gradients_are_torchvision_s(levels, side, counts):
    ours = LevelPool(levels, side, canonical_size=112)
    theirs = MultiScaleRoIAlign([f"p{level}" for level in levels], side, sampling_ratio=2)
    theirs.scales, theirs.map_levels = [2.0**-level for level in levels], initLevelMapper(2, levels[-1], 112, 4)
    maps = {
        f"p{level}": torch.randn(2, 3, 96 >> level, 80 >> level, dtype=torch.float64, requires_grad=True)
        for level in levels
    }
    boxes = [drawn_boxes(count, seed) for seed, count in enumerate(counts)]
    got, want = (pool(maps, boxes, [(96, 80)] * 2) for pool in (ours, theirs))
    torch.testing.assert_close(got, want)
    cotangent = torch.randn_like(want)
    for mine, other in zip(*(torch.autograd.grad(y, list(maps.values()), cotangent) for y in (got, want)), strict=True):
        torch.testing.assert_close(mine, other)


def test_large_maps_are_left_to_torchvision(monkeypatch):
    pool = LevelPool([2], 7, canonical_size=224)
    monkeypatch.setattr(pool, "products", None)
    assert pool({"p2": torch.randn(1, 2, 41, 41)}, [drawn_boxes(3, 0).float()], [(164, 164)]).shape == (3, 2, 7, 7)
