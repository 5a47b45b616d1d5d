"""Two dashed curves side by side, and a dot on one end of each side: drawn from numbers that chance gives.

The curves run from left to right (or from top to bottom), each at the same height above the next, along

    y(t) = middle + rise · (t − ½) + bend · 6√3 · t (1 − t) (1 − 2t)        0 ≤ t ≤ 1, t = (x − left) / distance

The dots are on the same curve or on two. The rise, and the height of one dot over the other, are each spread evenly
over the same range whatever the label; their difference, in spacings, is the number of curves between the dots.

Letters: b pictures, c curves, y rows and x columns of pixels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

NUM_CURVES = 2
SPACING = 9.0
"""Pixels between neighbouring curves."""
NUM_CHANCES = 10
"""Random numbers a picture."""
BEND = 1 / 6
"""Greatest bend over the distance."""
_CUBIC = 6 * 3**0.5
"""Makes the greatest value of t (1 − t) (1 − 2t) one."""
_DASH, _INK = 6.0, 0.6
"""Pixels from dash to dash, and the share of them that is drawn."""
_THICKNESS, _DOT = 1.3, 2.4
"""Half-width of a curve and radius of a dot in pixels, both to where the ink ends."""


@dataclass(frozen=True)
class Curves:
    """What b pictures show. Heights and places are in pixels."""

    distance: Float[NDArray, " b"]
    """Columns from the left ends to the right ends."""
    left: Float[NDArray, " b"]
    """Column of the left ends."""
    middle: Float[NDArray, " b"]
    """Row of the middle curve, halfway."""
    rise: Float[NDArray, " b"]
    """How much further down a curve ends than it begins."""
    bend: Float[NDArray, " b"]
    """How far it leaves the straight line."""
    begun: Int[NDArray, " b"]
    """The curve, 0 or 1, whose left end has a dot."""
    ended: Int[NDArray, " b"]
    """The curve whose right end has one; the same where the points are joined."""
    phases: Float[NDArray, "b c"]
    """Where its dashes begin, in dashes."""
    is_upright: Bool[NDArray, " b"]
    """Whether rows and columns change places."""

    @classmethod
    def by_chance(
        cls, chances: Float[NDArray, "b n"], distance: Int[NDArray, " b"], joined: Int[NDArray, " b"], side: int
    ) -> "Curves":
        """Curves made of `NUM_CHANCES` numbers in [0, 1) each, in a picture of `side` pixels.

        Args:
            chances: the numbers.
            distance: columns from dot to dot.
            joined: 1 where both dots are on one curve, otherwise 0.
            side: rows and columns of the picture.
        """
        numbers = chances.T
        rise_step = _one_of(numbers[0], NUM_CURVES)
        other = (rise_step + 1 + _one_of(numbers[1], NUM_CURVES - 1)) % NUM_CURVES
        between = np.where(joined == 1, rise_step, other) - rise_step
        first, last = np.maximum(0, -between), np.minimum(NUM_CURVES, NUM_CURVES - between)
        begun = first + np.floor(numbers[2] * (last - first)).astype(np.int64)
        rise = (rise_step - NUM_CURVES / 2 + numbers[3]) * SPACING
        bend = (2 * numbers[4] - 1) * BEND * distance
        room = np.maximum(0, side / 2 - 3 - SPACING * (NUM_CURVES - 1) / 2 - (np.abs(rise) + np.abs(bend)) / 2)
        return cls(
            distance=distance.astype(np.float64),
            left=5 + numbers[5] * (side - 10 - distance),
            middle=side / 2 + (2 * numbers[6] - 1) * room,
            rise=rise,
            bend=bend,
            begun=begun,
            ended=begun + between,
            phases=chances[:, 7 : 7 + NUM_CURVES],
            is_upright=numbers[7 + NUM_CURVES] < 0.5,
        )


def draw_curves(curves: Curves, side: int) -> Float[NDArray, "b y x"]:
    """The pictures, ink in 0…1, float32."""
    columns = np.arange(side)
    t = (columns - curves.left[:, None]) / curves.distance[:, None]  # (b, x)
    rise, bend = curves.rise[:, None], curves.bend[:, None] * _CUBIC
    height = curves.middle[:, None] + rise * (t - 0.5) + bend * t * (1 - t) * (1 - 2 * t)
    slope = (rise + bend * (1 - 6 * t + 6 * t * t)) / curves.distance[:, None]
    stretch = np.sqrt(1 + slope * slope)  # length of the curve over a column, and height over width of its line
    dashes = np.cumsum(stretch, axis=1)[:, None] / _DASH + curves.phases[..., None]
    drawn = (dashes % 1 < _INK) & ((t >= 0) & (t <= 1))[:, None]  # (b, c, x)
    offsets = (np.arange(NUM_CURVES) - (NUM_CURVES - 1) / 2) * SPACING
    heights = (height[:, None] + offsets[:, None]).astype(np.float32)
    away = np.abs(np.arange(side, dtype=np.float32)[:, None] - heights[:, :, None]) / stretch[:, None, None]
    ink = (np.clip(_THICKNESS - away, 0, 1) * drawn[:, :, None]).max(axis=1)
    middle, half = curves.middle, curves.rise / 2
    _dot(ink, curves.left, middle - half + offsets[curves.begun])
    _dot(ink, curves.left + curves.distance, middle + half + offsets[curves.ended])
    ink[curves.is_upright] = ink[curves.is_upright].swapaxes(1, 2)
    return ink.astype(np.float32)


def _dot(ink: Float[NDArray, "b y x"], column: Float[NDArray, " b"], row: Float[NDArray, " b"]) -> None:
    """Put a dot into each picture."""
    places = np.arange(ink.shape[-1])
    across, down = places - column[:, None], places - row[:, None]
    radius = np.sqrt(down[:, :, None] ** 2 + across[:, None] ** 2)
    np.maximum(ink, np.clip(_DOT - radius, 0, 1), out=ink)


def _one_of(chance: Float[NDArray, " b"], count: int) -> Int[NDArray, " b"]:
    """One of the numbers 0 … count − 1, all equally likely."""
    return np.floor(chance * count).astype(np.int64)
