"""A scene varied each time it is learned from: a little turned, larger or smaller, shifted, of other colours.

Letters: b batch, y rows and x columns of pixels.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from lambdanets.data.counter import Purpose, random_uniforms
from lambdanets.data.objects import Objects, objects_of_masks
from lambdanets.data.ranges import refuse_outside

_KEPT = 0.4
"""Share of a digit's pixels that must still be in the picture, or it is no longer taught."""


@dataclass(frozen=True, kw_only=True)
class SceneVariation:
    """How much a scene is varied by chance."""

    rotation: float = 5.0
    """Greatest turn of the whole scene, in degrees to either side, 0…180."""
    scaling: float = 0.15
    """Greatest change of size, as a fraction, 0…0.9."""
    translation: float = 0.08
    """Greatest shift, as a fraction of the side, 0…1."""
    colour: float = 0.2
    """Greatest change of each colour's strength, as a fraction, 0…1, and half as much of its level."""
    flip: float = 0.0
    """Probability of a scene being mirrored, 0…1: by default never, as a digit mirrored is none."""

    def __post_init__(self) -> None:
        """Refuse numbers outside the ranges above."""
        share = (0, 1)
        refuse_outside(self, "data.variation", rotation=(0, 180), scaling=(0, 0.9))
        refuse_outside(self, "data.variation", translation=share, colour=share, flip=share)


def vary_scenes(
    images: UInt8[Tensor, "b 3 y x"],
    objects: list[Objects],
    places: tuple[NDArray[np.int64], NDArray[np.int64], int],
    variation: SceneVariation,
) -> tuple[list[Tensor], list[Objects]]:
    """Images in 0…1 and what is left in them, varied by chances of `places` = (indices, epochs, seed) and no others.

    What comes from beyond the picture repeats its border. Digits mostly shifted out are left out, though a part may
    still be seen. Computed in float64 and rounded afterwards: the same, bit for bit, whatever the CPU.
    """
    indices, epochs, seed = places
    draws = random_uniforms(Purpose.AUGMENT, seed, epochs[:, None], indices[:, None], np.arange(11))
    chances = torch.from_numpy(draws * 2 - 1)
    affines = _affines(chances[:, :5], variation)
    grid = F.affine_grid(affines, list(images.shape), align_corners=False)
    moved = F.grid_sample(images.double() / 255, grid, padding_mode="border", align_corners=False)
    strengths = 1 + chances[:, 5:8, None, None] * variation.colour
    levels = chances[:, 8:11, None, None] * variation.colour / 2
    moved = ((moved - 0.5) * strengths + 0.5 + levels).clamp(0, 1).float()
    return list(moved), [_moved(found, grid[place]) for place, found in enumerate(objects)]


def _affines(chances: Float[Tensor, "b 5"], variation: SceneVariation) -> Float[Tensor, "b 2 3"]:
    """Maps from output to input coordinates, −1…1."""
    turn = chances[:, 0] * math.radians(variation.rotation)
    size = 1 / (1 + chances[:, 1] * variation.scaling)
    mirrored = torch.where((chances[:, 2] + 1) / 2 < variation.flip, -1.0, 1.0)
    shift_x, shift_y = (chances[:, 3:5] * 2 * variation.translation).unbind(1)
    cos, sin = turn.cos() * size, turn.sin() * size
    return torch.stack([cos * mirrored, -sin, shift_x, sin * mirrored, cos, shift_y], dim=1).reshape(-1, 2, 3)


def _moved(found: Objects, grid: Float[Tensor, "y x 2"]) -> Objects:
    if not len(found):
        return found
    masks = F.grid_sample(found.masks[None].double(), grid[None], mode="nearest", align_corners=False)[0].byte()
    # How large a digit would be if all of it were still there: by the areas of a pixel before and after.
    before = (grid[0, 1] - grid[0, 0]).norm() * (grid[1, 0] - grid[0, 0]).norm()
    whole = found.areas * 4 / (before * grid.shape[0] * grid.shape[1])
    kept = masks.sum((1, 2)) >= (whole * _KEPT).clamp(min=1)
    return objects_of_masks(masks[kept], found.labels[kept])
