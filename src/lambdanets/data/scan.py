"""Any picture of one digit as the 8 × 8 scan that the digits data consists of.

The data was made so: a digit cut out along its ink, brought to 32 × 32 black or white pixels, the ink of each 4 × 4
block counted. A picture goes the same way here, from whatever size: paper dark, ink bright, cut out, made square,
averaged over 8 × 8 blocks. What is 8 × 8 already is taken for such a scan.

Letters: b batch, y rows and x columns of pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lambdanets.data.digits import DigitsConfig, DigitsSplit

SIDE = 8
"""Pixels on each side of a scan."""
_WORKING_SIDE = 512
"""Larger pictures are made smaller first; no stroke of a digit that fills its picture is lost."""
_FAINT = 0.1
"""A picture whose brightest and darkest pixels differ by less, on a scale of 1, is taken to be empty."""
_CUT = 0.25
"""Ink fainter than this share of a full stroke is taken for shading of the paper."""
_MARGIN = 0.04
"""Bright specks smaller than this share of a side do not widen the cut."""


def digit_inputs(pictures: Sequence[Image.Image], config: DigitsConfig) -> Float[Tensor, "b 1 y x"]:
    """What a network trained with this config is to be given for these pictures.

    One of the data's own scans, saved as an image, comes out as it does in training, but for 8 bits of grey.
    """
    scans = torch.stack([scan_digit(picture) for picture in pictures])
    split = DigitsSplit(scans, torch.zeros(len(scans), dtype=torch.int64), config)
    return split.plain(np.arange(len(scans)))[0]


def scan_digit(picture: Image.Image) -> Float[Tensor, "1 8 8"]:
    """The picture as a scan: ink 1, paper 0. A picture without contrast gives an empty scan."""
    grey = np.asarray(picture.convert("L"), dtype=np.float64) / 255
    if np.median(_border(grey)) > 0.5:  # on paper: a digit hardly ever covers half of the border
        grey = 1 - grey
    if grey.shape != (SIDE, SIDE):
        grey = _reduced(_cut_out(grey))
    return torch.from_numpy(grey.astype(np.float32))[None]


def _cut_out(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows and columns that hold ink, paper 0 and ink 1, set in the middle of a square."""
    grey = _shrunk(grey)
    if grey.max() - grey.min() < _FAINT:
        return np.zeros((SIDE, SIDE))
    threshold = _otsu(grey)
    paper, full = np.median(grey[grey < threshold]), np.percentile(grey[grey >= threshold], 90)
    ink = ((grey - paper) / (full - paper)).clip(0, 1)
    ink[ink < _CUT] = 0  # noise of the paper, and shadows
    marked = ink > 0
    ink = ink[_extent(marked.sum(1), ink.shape[1]), _extent(marked.sum(0), ink.shape[0])]
    margins = [max(ink.shape) - side for side in ink.shape]
    return np.pad(ink, [(margin // 2, margin - margin // 2) for margin in margins])


def _extent(counts: NDArray[np.int64], length: int) -> slice:
    """From the first to the last line with more than a speck of ink; all lines if there is none."""
    marked = np.flatnonzero(counts > _MARGIN * length)
    if len(marked) == 0:
        marked = np.flatnonzero(counts)
    return slice(int(marked[0]), int(marked[-1]) + 1) if len(marked) else slice(None)


def _otsu(grey: NDArray[np.float64]) -> float:
    """The threshold with the greatest variance between what is below and what is not (Otsu 1979)."""
    counts, edges = np.histogram(grey, bins=128, range=(0, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * centres).cumsum()
    difference = sums / np.maximum(below, 1) - (sums[-1] - sums) / np.maximum(above, 1)
    return float(edges[1:][(below * above * difference**2).argmax()])


def _shrunk(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    longest = max(grey.shape)
    if longest <= _WORKING_SIDE:
        return grey
    rows, columns = (max(1, round(side * _WORKING_SIDE / longest)) for side in grey.shape)
    return _resized(grey, rows, columns)


def _reduced(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each block of an 8 × 8 grid; blocks may end inside a pixel."""
    return _resized(grey, SIDE, SIDE).clip(0, 1)


def _resized(grey: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    image = Image.fromarray(grey.astype(np.float32))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BOX), dtype=np.float64)


def _border(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
