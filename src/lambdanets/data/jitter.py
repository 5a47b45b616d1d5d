"""Large-scale jitter: a picture and its objects resized by chance, and cut or filled up to a canvas of fixed size.

The paper's augmentation for COCO (scales 0.1 to 2, mirrored half of the time), as Google's detection code has it: at
scale 1 the longer side fills the canvas; what is too large is cut out at a random place, what is too small lies in the
upper left corner.

Letters: n objects, y rows and x columns of pixels.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from lambdanets.data.counter import Purpose, random_uniforms
from lambdanets.data.images import to_tensor
from lambdanets.data.objects import Objects, tight_boxes

_LEAST = 1.0
"""Pixels that each side of a box must have to be taught."""
_WHOLE = 0.5
"""A box that sticks out of the window by no more than so many pixels is not cut."""


@dataclass(frozen=True, kw_only=True)
class Jitter:
    """How training pictures are resized, cut and mirrored."""

    side: int
    """Rows and columns of the canvas, in pixels."""
    scales: tuple[float, float] = (0.1, 2.0)
    """Least and greatest length of the picture's longer side, as a multiple of the canvas."""
    flip: float = 0.5
    """Probability of the picture being mirrored, left for right."""
    fill: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Red, green and blue of 0…1 where there is no picture."""


class Window(NamedTuple):
    """Which part of a picture is seen, and how large; all in pixels."""

    resized: tuple[int, int]
    """Rows and columns of the whole picture after it is resized."""
    corner: tuple[int, int]
    """Row and column of the resized picture where the window begins."""
    shape: tuple[int, int]
    """Rows and columns of the window."""
    mirrored: bool


def choose_window(size: tuple[int, int], jitter: Jitter, *, seed: int, epoch: int, index: int) -> Window:
    """The window on a picture of these rows and columns, a pure function of (seed, epoch, index)."""
    scale, down, right, flip = random_uniforms(Purpose.AUGMENT, seed, epoch, index, np.arange(4)).tolist()
    low, high = jitter.scales
    factor = (low + (high - low) * scale) * jitter.side / max(size)
    rows, columns = (max(1, round(length * factor)) for length in size)
    shape = min(rows, jitter.side), min(columns, jitter.side)
    corner = int(down * (rows - shape[0] + 1)), int(right * (columns - shape[1] + 1))
    return Window((rows, columns), corner, shape, flip < jitter.flip)


def picture_through(window: Window, picture: Image.Image, jitter: Jitter) -> Float[Tensor, "3 y x"]:
    """The canvas, pixels in 0…1, with what is seen of the picture; made smaller, each pixel is a mean of many."""
    down, right = picture.height / window.resized[0], picture.width / window.resized[1]
    (top, left), (rows, columns) = window.corner, window.shape
    box = (
        left * right,
        top * down,
        min((left + columns) * right, picture.width),
        min((top + rows) * down, picture.height),
    )
    seen = picture.convert("RGB").resize((columns, rows), Image.Resampling.BILINEAR, box=box)
    canvas = torch.tensor(jitter.fill)[:, None, None].repeat(1, jitter.side, jitter.side)
    canvas[:, :rows, :columns] = to_tensor(ImageOps.mirror(seen) if window.mirrored else seen)
    return canvas


def objects_through(window: Window, found: Objects, side: int) -> Objects:
    """What is left of the objects, on the canvas. A box that is cut is drawn anew around what is seen of its mask."""
    masks = masks_through(window, found.masks, side)
    scale = torch.tensor([window.resized[1] / found.masks.shape[2], window.resized[0] / found.masks.shape[1]])
    corner = torch.tensor([window.corner[1], window.corner[0]])
    boxes = found.boxes * scale.repeat(2) - corner.repeat(2)
    if window.mirrored:
        boxes = torch.stack([window.shape[1] - boxes[:, 2], boxes[:, 1], window.shape[1] - boxes[:, 0], boxes[:, 3]], 1)
    limits = torch.tensor([window.shape[1], window.shape[0]])
    cut = (boxes < -_WHOLE).any(1) | (boxes > limits.repeat(2) + _WHOLE).any(1)
    boxes = torch.where(cut[:, None], tight_boxes(masks), boxes.clamp(min=0).minimum(limits.repeat(2)))
    kept = masks.flatten(1).any(1).bool() & ((boxes[:, 2:] - boxes[:, :2]) >= _LEAST).all(1)
    areas = masks.sum((1, 2), dtype=torch.float32)
    return Objects(boxes, found.labels, masks, found.crowd, areas).part(kept)


def masks_through(window: Window, masks: UInt8[Tensor, "n y x"], side: int) -> UInt8[Tensor, "n side side"]:
    """Each pixel of the canvas as the nearest of the mask; 0 where there is no picture."""
    rows = _nearest(masks.shape[1], window.resized[0], window.corner[0], window.shape[0])
    columns = _nearest(masks.shape[2], window.resized[1], window.corner[1], window.shape[1])
    if window.mirrored:
        columns = columns[::-1].copy()
    canvas = torch.zeros(len(masks), side, side, dtype=torch.uint8)
    canvas[:, : len(rows), : len(columns)] = masks[:, torch.from_numpy(rows)][:, :, torch.from_numpy(columns)]
    return canvas


def _nearest(length: int, resized: int, start: int, count: int) -> NDArray[np.int64]:
    """Which of `length` pixels the middle of each seen pixel lies in, by whole numbers, which round nothing."""
    return (2 * (start + np.arange(count)) + 1) * length // (2 * resized)
