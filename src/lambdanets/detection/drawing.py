"""What was found in a picture, or what is there, drawn on it: masks, boxes, names and how sure the detector is.

Letters: n objects, y rows and x columns of pixels.
"""

import colorsys
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lambdanets.printable import printable

MOST_DRAWN = 100
"""Objects that are drawn of a picture, the surest."""
LEAST_SIDE = 320
"""A smaller picture is enlarged until its longer side has so many pixels, so that the names can be read."""
_COLOURS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (240, 228, 66))
"""Told apart with any kind of colour vision (Okabe and Ito 2008); for the first classes."""
_COVER = 0.45
"""How much of a mask's colour lies on the picture."""

Colour = tuple[int, int, int]


def draw_objects(
    picture: Image.Image,
    found: Mapping[str, Tensor],
    classes: Sequence[str],
    *,
    least_score: float = 0.0,
    least_side: int = LEAST_SIDE,
) -> Image.Image:
    """A copy of the picture in RGB with its objects drawn on it, each class in a colour of its own.

    `found` has torchvision's names: boxes (n, 4) and labels (n,), and may have masks (n, 1, y, x) of probabilities or
    (n, y, x) of 0 and 1, scores (n,) and iscrowd (n,): what a detector answers, or a target of `DetectionBatch`. Label
    k is called classes[k − 1]. What is less sure than `least_score` is left out.
    """
    factor = max(1, math.ceil(least_side / max(picture.size)))
    size = picture.width * factor, picture.height * factor
    drawn = picture.convert("RGB")
    drawn = drawn.resize(size, Image.Resampling.BICUBIC) if factor > 1 else drawn.copy()
    chosen = _drawing_order(found, least_score)
    if "masks" in found and chosen:
        drawn = _with_masks(drawn, found, chosen, factor)
    pen = _Pen(drawn, factor)
    boxes, colours = found["boxes"].tolist(), [class_colour(label) for label in found["labels"].tolist()]
    for place in chosen:
        pen.draw_box(boxes[place], colours[place])
    for place in chosen:
        pen.draw_tag(boxes[place], colours[place], _words(found, place, classes))
    return drawn


def class_colour(label: int) -> Colour:
    """Red, green and blue of a class, 0…255; label 1 is the first."""
    if label <= len(_COLOURS):
        return _COLOURS[label - 1]
    hue = label * 0.618034 % 1  # the golden section: neighbours are far apart
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def _drawing_order(found: Mapping[str, Tensor], least_score: float) -> list[int]:
    """Places of what is drawn, the largest first, so that nothing is hidden by what is larger."""
    places = list(range(len(found["labels"])))
    if "scores" in found:
        scores = found["scores"].tolist()
        places = [place for place in places if scores[place] >= least_score]
        places = sorted(places, key=lambda place: -scores[place])
    boxes = found["boxes"].tolist()
    return sorted(places[:MOST_DRAWN], key=lambda place: -_area(boxes[place]))


def _area(box: list[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _with_masks(drawn: Image.Image, found: Mapping[str, Tensor], chosen: list[int], factor: int) -> Image.Image:
    pixels = np.asarray(drawn, dtype=np.float32).copy()
    width = max(1, round(max(drawn.size) / 320))
    for place in chosen:
        mask = found["masks"][place].detach().cpu()
        mask = (mask[0] if mask.ndim == 3 else mask).float().numpy() >= 0.5
        mask = mask.repeat(factor, 0).repeat(factor, 1)
        if mask.shape != pixels.shape[:2] or not mask.any():
            continue
        rows, columns = (_around(mask.max(axis), width) for axis in (1, 0))
        cut, part = mask[rows, columns], pixels[rows, columns]
        colour = np.array(class_colour(int(found["labels"][place])), dtype=np.float32)
        part[cut] += (colour - part[cut]) * _COVER
        part[cut & ~_shrunk(cut, width)] = colour
    return Image.fromarray((pixels + 0.5).astype(np.uint8))


def _around(marked: NDArray[np.bool_], margin: int) -> slice:
    places = np.flatnonzero(marked)
    return slice(max(0, int(places[0]) - margin), int(places[-1]) + 1 + margin)


def _shrunk(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """The mask without its outermost pixels."""
    for _ in range(by):
        padded = np.pad(mask, 1)
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def _words(found: Mapping[str, Tensor], place: int, classes: Sequence[str]) -> str:
    label = int(found["labels"][place])
    name = printable(classes[label - 1]) if 0 < label <= len(classes) else f"class {label}"
    if "iscrowd" in found and bool(found["iscrowd"][place]):
        return f"crowd: {name}"
    return f"{name} {float(found['scores'][place]):.0%}" if "scores" in found else name


class _Pen:
    """Draws on a picture that was enlarged by a whole factor."""

    def __init__(self, picture: Image.Image, factor: int) -> None:
        self._pen = ImageDraw.Draw(picture)
        self._factor = factor
        self._size = picture.size
        self._font = ImageFont.load_default(min(28, max(12, max(picture.size) / 20)))

    def draw_box(self, box: list[float], colour: Colour) -> None:
        """The box's outline."""
        left, top, right, bottom = (number * self._factor for number in box)
        right, bottom = max(left, right - 1), max(top, bottom - 1)  # the last pixel inside
        self._pen.rectangle((left, top, right, bottom), outline=colour, width=max(1, round(max(self._size) / 250)))

    def draw_tag(self, box: list[float], colour: Colour, words: str) -> None:
        """The words on the colour: above the box, or inside it where there is no room above."""
        left, top, right, bottom = self._pen.textbbox((0, 0), words, font=self._font)
        width, height = right - left + 8, bottom - top + 6
        x = min(max(0, box[0] * self._factor), max(0, self._size[0] - width))
        y = box[1] * self._factor - height
        y = y if y >= 0 else max(0, min(box[1] * self._factor, self._size[1] - height))
        self._pen.rectangle((x, y, x + width, y + height), fill=colour)
        bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
        self._pen.text((x + 4 - left, y + 3 - top), words, fill="black" if bright else "white", font=self._font)
