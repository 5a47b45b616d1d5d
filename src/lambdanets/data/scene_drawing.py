"""Scenes drawn: digits turned, enlarged and coloured on pieces of photographs, with clutter behind them.

Every number is drawn from a counter, and made into pixels by additions, products and quotients alone, which are exact
to the bit on any machine; there is no sine, which is not.

Letters: n digits, y rows and x columns of pixels.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.counter import Purpose, random_uniforms

Picture = NDArray[np.float64]
"""(y, x, 3), 0…255."""
Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]

_STROKE, _EDGE = 0.32, 0.3
"""Where a stroke ends: at this ink; and over how much ink its edge fades into what is behind it."""
_TRIES = 12
"""Places tried for a digit before it is left out."""
_CONTRAST = 80.0
"""Least difference of brightness, of 255, between a digit and what is behind it."""


class Sizes(NamedTuple):
    """What scenes are like."""

    side: int
    """Rows and columns of a scene."""
    smallest: int
    """Least side of a digit's square, in pixels."""
    largest: int
    """Greatest."""
    most: int
    """Digits in a scene: 1 to so many."""
    degrees: float
    """Greatest turn of a digit, to either side."""
    overlap: float
    """Share of a digit that others may hide."""
    clutter: int
    """Bars and discs behind the digits: 0 to so many."""


class Scene(NamedTuple):
    """One scene as it was drawn."""

    pixels: NDArray[np.uint8]
    """(y, x, 3)."""
    masks: NDArray[np.uint8]
    """(n, y, x): what is seen of each digit."""
    chosen: list[int]
    """(n,) which of the scans each digit is."""


def draw_scene(scans: NDArray[np.float64], photo: NDArray[np.uint8], sizes: Sizes, place: tuple[int, ...]) -> Scene:
    """The scene that a place, (seed, split, number), stands for.

    `scans` (s, rows, columns) hold ink of 0…1 with an empty border; `photo` is what pieces are cut from for the back.
    """
    canvas = _background(photo, sizes.side, _Chances(*place, 0))
    chances = _Chances(*place, 1)
    for number in range(chances.whole(0, sizes.clutter)):
        _put_clutter(canvas, _Chances(*place, 2, number))
    masks: list[Mask] = []
    areas: list[int] = []
    chosen: list[int] = []
    for number in range(chances.whole(1, sizes.most)):
        chances = _Chances(*place, 3, number)
        which = chances.whole(0, len(scans) - 1)
        ink = _turned(scans[which], chances.whole(sizes.smallest, sizes.largest), sizes.degrees, chances)
        spot = _free_spot(ink, masks, areas, sizes, _Chances(*place, 4, number))
        if spot is None:
            continue
        window = slice(spot[0], spot[0] + ink.shape[0]), slice(spot[1], spot[1] + ink.shape[1])
        seen = np.zeros(canvas.shape[:2], dtype=bool)
        seen[window] = ink >= _STROKE
        _lay(canvas, window, ((ink - _STROKE) / _EDGE + 0.5).clip(0, 1), _contrasting(canvas[seen], chances))
        masks = [mask & ~seen for mask in masks] + [seen]
        areas.append(int(seen.sum()))
        chosen.append(which)
    return Scene((canvas + 0.5).astype(np.uint8), np.array(masks, dtype=np.uint8), chosen)


class _Chances:
    """The random numbers of one thing in a scene, one after another."""

    def __init__(self, *place: int) -> None:
        self._numbers = iter(random_uniforms(Purpose.SCENES, *place, np.arange(32)).tolist())

    def number(self, low: float, high: float) -> float:
        """Uniform between the two."""
        return low + (high - low) * next(self._numbers)

    def whole(self, low: int, high: int) -> int:
        """Each of low … high equally likely."""
        return low + int((high - low + 1) * next(self._numbers))

    def colour(self) -> NDArray[np.float64]:
        """Red, green and blue, 0…255."""
        return np.array([self.number(0, 255) for _ in range(3)])


def _background(photo: NDArray[np.uint8], side: int, chances: _Chances) -> Picture:
    """A piece of the photo, at its own size or half of it, perhaps mirrored, brighter or darker."""
    factor = chances.whole(1, 2) if 2 * side <= min(photo.shape[:2]) else 1
    cut = side * factor
    top, left = (chances.whole(0, length - cut) for length in photo.shape[:2])
    piece = photo[top : top + cut, left : left + cut].reshape(side, factor, side, factor, 3)
    piece = piece.astype(np.float64).sum((1, 3)) / factor**2  # sums of whole numbers are exact in any order
    if chances.whole(0, 1):
        piece = piece[:, ::-1]
    return (piece * chances.number(0.6, 1.2) + chances.number(-20, 20)).clip(0, 255)


def _put_clutter(canvas: Picture, chances: _Chances) -> None:
    """A bar or a disc somewhere, of any colour."""
    side = len(canvas)
    y, x = (chances.number(0, side) for _ in range(2))
    rows, columns = np.arange(side)[:, None] + 0.5 - y, np.arange(side)[None] + 0.5 - x
    cos, sin = _turn(chances.number(-1, 1))
    along, across = rows * sin + columns * cos, rows * cos - columns * sin
    length, width = chances.number(0.06, 0.3) * side, chances.number(0.01, 0.04) * side
    if chances.whole(0, 2) == 0:
        radius = length / 3
        shape = radius * radius - rows * rows - columns * columns
    else:
        shape = np.minimum(length - np.abs(along), width - np.abs(across))
    _lay(canvas, (slice(None), slice(None)), (shape + 0.5).clip(0, 1), chances.colour())


def _lay(canvas: Picture, window: tuple[slice, slice], cover: Plane, colour: NDArray[np.float64]) -> None:
    canvas[window] = canvas[window] * (1 - cover[..., None]) + colour * cover[..., None]


def _turned(scan: Plane, side: int, degrees: float, chances: _Chances) -> Plane:
    """The scan, its square `side` pixels long, turned by chance and cut out along its ink."""
    reach = round(math.tan(math.radians(min(degrees, 90)) / 2), 6)  # rounded: one bit of it may differ by machine
    cos, sin = _turn(chances.number(-reach, reach))
    square = math.ceil(side * (abs(cos) + abs(sin)))
    offsets = (np.arange(square) + 0.5 - square / 2) * (len(scan) / side)
    rows, columns = offsets[:, None], offsets[None]
    middle = len(scan) / 2 - 0.5
    ink = _cubic(scan, rows * cos - columns * sin + middle, rows * sin + columns * cos + middle)
    seen = ink >= _STROKE
    return ink[_extent(seen.max(1)), _extent(seen.max(0))]


def _turn(tangent: float) -> tuple[float, float]:
    """Cosine and sine of twice the angle that has this tangent."""
    whole = 1 + tangent * tangent
    return (1 - tangent * tangent) / whole, 2 * tangent / whole


def _cubic(scan: Plane, rows: Plane, columns: Plane) -> Plane:
    """The ink between the pixels by cubic convolution (Keys 1981), 0 outside of the scan."""
    padded = np.pad(scan, 2)
    top, left = np.floor(rows), np.floor(columns)
    row_weights, column_weights = _weights(rows - top), _weights(columns - left)
    total = np.zeros(rows.shape)
    for down in range(4):
        line = (top.astype(np.int64) + down + 1).clip(0, len(padded) - 1)
        part = np.zeros(rows.shape)
        for right in range(4):
            place = (left.astype(np.int64) + right + 1).clip(0, len(padded) - 1)
            part += column_weights[right] * padded[line, place]
        total += row_weights[down] * part
    return total


def _weights(t: Plane) -> tuple[Plane, Plane, Plane, Plane]:
    """Of the pixels at −1, 0, 1 and 2 for a point at t in 0…1, sharpness −0.5."""
    rest = 1 - t
    outer = [-0.5 * part * (1 - part) * (1 - part) for part in (t, rest)]
    inner = [1 + part * part * (1.5 * part - 2.5) for part in (t, rest)]
    return outer[0], inner[0], inner[1], outer[1]


def _extent(marked: NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(marked)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def _free_spot(
    ink: Plane, masks: list[Mask], areas: list[int], sizes: Sizes, chances: _Chances
) -> tuple[int, int] | None:
    """The corner of a place inside the scene where the ink hides little enough of what is there."""
    room = sizes.side - ink.shape[0], sizes.side - ink.shape[1]
    if min(room) < 0 or not ink.size:
        return None
    for _ in range(_TRIES):
        top, left = chances.whole(0, room[0]), chances.whole(0, room[1])
        stroke = ink >= _STROKE
        seen = [
            (mask.sum() - (mask[top : top + len(ink), left : left + ink.shape[1]] & stroke).sum()) / area
            for mask, area in zip(masks, areas, strict=True)
        ]
        if all(share >= 1 - sizes.overlap for share in seen):
            return top, left
    return None


def _contrasting(behind: NDArray[np.float64], chances: _Chances) -> NDArray[np.float64]:
    """A colour that stands out from the pixels it will cover, by brightness."""
    colour, ground = chances.colour(), float(behind.mean())
    difference = float(colour.mean()) - ground
    if abs(difference) >= _CONTRAST:
        return colour
    darker = ground > 127.5
    target = ground - _CONTRAST if darker else ground + _CONTRAST
    brightness = float(colour.mean())
    return colour * (target / brightness) if darker else 255 - (255 - colour) * ((255 - target) / (255 - brightness))
