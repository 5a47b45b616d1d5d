"""Any picture of one digit as the 8 × 8 scan that the digits data consists of.

The data was made so: a digit cut out along its ink, brought to 32 × 32 black or white pixels, the ink of each 4 × 4
block counted. A picture goes the same way here, from whatever size: paper dark, ink bright, slanting light taken off,
cut out, set in the middle of a square, 32 × 32, blocks. Every training scan is 23 to 42 % ink, so thinner strokes are
grown. What is 8 × 8 already is taken for a scan.

Letters: b batch, y rows and x columns of pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from lambdanets.data.digits import DigitsConfig, DigitsSplit

SIDE = 8
"""Pixels on each side of a scan."""
FORM_SIDE = 32
"""Pixels on each side of the form it was counted from."""
_WORKING_SIDE = 512
"""Larger pictures are made smaller first; no stroke of a digit that fills its picture is lost."""
ENOUGH_SIDE = 2 * _WORKING_SIDE
"""Pixels on the longer side from which a scan is made as well as from more."""
_GRAINY_SIDE = 64
"""Pictures at least so large are blurred by a pixel: their grain would pass for ink, and no stroke is lost."""
_FAINT = 0.1
"""A picture whose brightest and darkest pixels differ by less, on a scale of 1, is taken to be empty."""
_CUT = 0.25
"""Ink fainter than this share of a full stroke is taken for noise of the paper."""
_SPECK = 0.02
"""Pieces with less ink than this share of the largest piece are dirt."""
_INK = 0.26
"""Share of ink that a scan should have: 95 % of the training forms, and of each digit in them, have about as much."""
_MAX_GROWTH = 4
"""How many pixels of the form a stroke may gain on each side."""

Grey = NDArray[np.float64]


def digit_inputs(pictures: Sequence[Image.Image], config: DigitsConfig) -> Float[Tensor, "b 1 y x"]:
    """What a network trained with this config is to be given for these pictures.

    One of the data's own scans, saved as an image, comes out as it does in training, but for 8 bits of grey.
    """
    scans = torch.stack([scan_digit(picture) for picture in pictures])
    split = DigitsSplit(scans, torch.zeros(len(scans), dtype=torch.int64), config)
    return split.plain(np.arange(len(scans))).images


def scan_digit(picture: Image.Image) -> Float[Tensor, "1 8 8"]:
    """The picture as a scan: ink 1, paper 0. A picture without contrast gives an empty scan."""
    picture = _shrunk(picture).convert("L")
    if min(picture.size) >= _GRAINY_SIDE:
        picture = picture.filter(ImageFilter.GaussianBlur(1))
    grey = np.asarray(picture, dtype=np.float64) / 255
    if np.median(_border(grey)) > 0.5:  # on paper: a digit hardly ever covers half of the border
        grey = 1 - grey
    if grey.max() - grey.min() < _FAINT:
        return torch.zeros(1, SIDE, SIDE)
    if grey.shape != (SIDE, SIDE):
        form = _form(_cut_out(_in_even_light(grey)))
        grey = form.reshape(SIDE, FORM_SIDE // SIDE, SIDE, FORM_SIDE // SIDE).mean((1, 3))
    return torch.from_numpy(grey.astype(np.float32))[None]


def has_ink(pixels: Float[Tensor, "c y x"]) -> bool:
    """Whether anything is drawn on a scan, or on what a network is given of one, pixels in 0…1."""
    return float(pixels.max() - pixels.min()) >= _FAINT


def _in_even_light(grey: Grey) -> Grey:
    """The picture without the slope of its paper, which is what is darker than the threshold."""
    rows, columns = np.indices(grey.shape, dtype=np.float64)
    slope = np.stack([np.ones(grey.size), rows.ravel(), columns.ravel()], axis=1)
    flat = grey
    for _ in range(2):  # the second time without the ink that slanting light had hidden
        paper = (flat < _otsu(flat)).ravel()
        if paper.sum() < 4:
            return grey
        fit = np.linalg.lstsq(slope[paper], grey.ravel()[paper], rcond=None)[0]
        flat = (grey - (slope @ fit).reshape(grey.shape)).clip(0, 1)
    return flat


def _cut_out(grey: Grey) -> Grey:
    """The rows and columns that hold ink, paper 0 and ink 1, set in the middle of a square."""
    if grey.max() - grey.min() < _FAINT:
        return np.zeros((SIDE, SIDE))
    threshold = _otsu(grey)
    paper, full = np.median(grey[grey < threshold]), np.percentile(grey[grey >= threshold], 90)
    ink = ((grey - paper) / (full - paper)).clip(0, 1)
    ink[ink < _CUT] = 0
    ink = _without_specks(ink)
    ink = ink[_extent((ink > 0).sum(1)), _extent((ink > 0).sum(0))]
    margins = [max(ink.shape) - side for side in ink.shape]
    return np.pad(ink, [(margin // 2, margin - margin // 2) for margin in margins])


def _form(ink: Grey) -> Grey:
    """The square at 32 × 32, its strokes grown until the form holds as much ink as usual."""
    sides = range(FORM_SIDE, FORM_SIDE - 2 * _MAX_GROWTH - 1, -2)
    forms = [_grown(_blackened(_resized(ink, side, side)), FORM_SIDE) for side in sides]
    return next((form for form in forms if form.mean() >= _INK), forms[-1])


def _blackened(form: Grey) -> Grey:
    """The form with full strokes, where they are so thin that they cover no pixel whole."""
    covered = form[form > _CUT * form.max()]
    return (form / np.percentile(covered, 75)).clip(0, 1) if len(covered) else form


def _grown(form: Grey, side: int) -> Grey:
    """The form with a pixel more on each side of every stroke, again and again until it has the given side."""
    growth = (side - len(form)) // 2
    form = np.pad(form, growth)
    for step in range(growth):
        padded = np.pad(form, 1)
        corners = ((0, 0), (0, 2), (2, 0), (2, 2)) if step % 2 else ()  # every other time: rounder than squares
        shifts = ((1, 1), (0, 1), (1, 0), (1, 2), (2, 1), *corners)
        form = np.max([padded[y : y + side, x : x + side] for y, x in shifts], axis=0)
    return form


def _without_specks(ink: Grey) -> Grey:
    """The ink without pieces that are small beside the largest."""
    from scipy.ndimage import label  # slow to import, and only pictures need it

    labelled: Any = label(ink > 0, structure=np.ones((3, 3)))
    pieces, count = labelled
    amounts = np.bincount(pieces.ravel(), weights=ink.ravel(), minlength=count + 1)
    return np.where((amounts < _SPECK * amounts.max())[pieces], 0, ink)


def _extent(counts: NDArray[np.int64]) -> slice:
    """From the first to the last line that holds ink; all lines if there is none."""
    marked = np.flatnonzero(counts)
    return slice(int(marked[0]), int(marked[-1]) + 1) if len(marked) else slice(None)


def _otsu(grey: Grey) -> float:
    """The threshold with the greatest variance between what is below and what is not (Otsu 1979)."""
    counts, edges = np.histogram(grey, bins=128, range=(0, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * centres).cumsum()
    difference = sums / np.maximum(below, 1) - (sums[-1] - sums) / np.maximum(above, 1)
    return float(edges[1:][(below * above * difference**2).argmax()])


def _shrunk(picture: Image.Image) -> Image.Image:
    """The picture with no side longer than the working side; done before its pixels become real numbers."""
    longest = max(picture.size)
    if longest <= _WORKING_SIDE:
        return picture
    size = [max(1, round(side * _WORKING_SIDE / longest)) for side in picture.size]
    return picture.resize((size[0], size[1]), Image.Resampling.BOX)


def _resized(grey: Grey, rows: int, columns: int) -> Grey:
    """Each pixel the mean of what it covers; where it is made larger, pixels are repeated."""
    image = Image.fromarray(grey.astype(np.float32))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BOX), dtype=np.float64).clip(0, 1)


def _border(grey: Grey) -> Grey:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
