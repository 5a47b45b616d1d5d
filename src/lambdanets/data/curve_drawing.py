"""Two equal dashed curves, and a dot on one end of each side: drawn from numbers that chance gives.

The curves run from left to right (or from top to bottom), one `SPACING` below the other, along

    y(t) = middle + rise · (s(2t − ½) − ½)        0 ≤ t ≤ 1, t = (x − left) / distance

s goes smoothly from 0 at 0 to 1 at 1 and is flat outside: a curve rises in its middle half alone. The dots are on the
same curve or on two. The rise, the height of one dot over the other, where the dots are and where the curves are: each
by itself is spread alike whatever the label; dots against curves is not. Moving a dot from one curve's end to the
other's changes the label, and no more than where a patch of `PATCH` pixels is: near an end no such patch holds a dot
and the other curve.

Letters: b pictures, c curves, y rows and x columns of pixels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

FORM = 3
"""The third form of the task: docs/decisions/0012-long-range.md."""
SPACING = 12
"""Pixels from one curve to the other."""
PATCH = 7
"""Pixels of a side of patches that tell nothing, however they are counted."""
NUM_CHANCES = 7
"""Random numbers a picture."""
_FREE = 8.5
"""Pixels between a dot's middle and the upper or lower edge, at least: no patch of `PATCH` pixels at a dot is cut."""
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
    """Row halfway between the curves, halfway along them."""
    rise: Float[NDArray, " b"]
    """How much further down a curve ends than it begins."""
    begun: Int[NDArray, " b"]
    """The curve, 0 or 1 from above, whose left end has a dot."""
    ended: Int[NDArray, " b"]
    """The curve whose right end has one; the same where the points are joined."""
    phase: Float[NDArray, " b"]
    """Where the dashes begin, in dashes."""
    is_upright: Bool[NDArray, " b"]
    """Whether rows and columns change places."""

    @classmethod
    def by_chance(
        cls, chances: Float[NDArray, "b n"], distance: Int[NDArray, " b"], joined: Int[NDArray, " b"], side: int
    ) -> "Curves":
        """Curves made of `NUM_CHANCES` numbers in [0, 1) each, in a picture of `side` pixels.

        Of dots that are apart the right one is a spacing higher than if they were joined where the curves go down, a
        spacing lower where they go up: one dot is up to a spacing above or below the other, whatever the label.

        Args:
            chances: the numbers.
            distance: columns from dot to dot.
            joined: 1 where both dots are on one curve, otherwise 0.
            side: rows and columns of the picture.
        """
        numbers = chances.T
        is_falling = numbers[0] < 0.5
        rise = np.where(is_falling, SPACING, -SPACING) * numbers[1]
        either = (numbers[2] < 0.5).astype(np.int64)
        begun = np.where(joined == 1, either, is_falling)
        # Both curves are higher up for dots on the lower one: so neither dots nor curves are elsewhere when joined.
        shift = SPACING / 4 * (1 - 2 * either)
        room = (side - 1) / 2 - _FREE - SPACING * 3 / 4
        return cls(
            distance=distance.astype(np.float64),
            left=5 + numbers[3] * (side - 10 - distance),
            middle=(side - 1) / 2 + (2 * numbers[4] - 1) * room + shift,
            rise=rise,
            begun=begun,
            ended=np.where(joined == 1, either, 1 - begun),
            phase=numbers[5],
            is_upright=numbers[6] < 0.5,
        )

    @property
    def left_dots(self) -> Float[NDArray, " b"]:
        """Rows of the dots on the left ends."""
        return self.middle - self.rise / 2 + _below(self.begun)

    @property
    def right_dots(self) -> Float[NDArray, " b"]:
        """Rows of the dots on the right ends."""
        return self.middle + self.rise / 2 + _below(self.ended)


def draw_curves(curves: Curves, side: int) -> Float[NDArray, "b y x"]:
    """The pictures, ink in 0…1, float32."""
    t = (np.arange(side) - curves.left[:, None]) / curves.distance[:, None]  # (b, x)
    risen, steepness = _course(2 * t - 0.5)
    height = curves.middle[:, None] + curves.rise[:, None] * (risen - 0.5)
    slope = curves.rise[:, None] * 2 * steepness / curves.distance[:, None]
    stretch = np.sqrt(1 + slope * slope)  # length of the curve over a column, and height over width of its line
    dashes = np.cumsum(stretch, axis=1) / _DASH + curves.phase[:, None]
    drawn = (dashes % 1 < _INK) & (t >= 0) & (t <= 1)
    ink = np.zeros((len(t), side, side), np.float32)
    for curve in (0, 1):
        away = np.abs(np.arange(side)[:, None] - (height + _below(curve))[:, None]) / stretch[:, None]
        np.maximum(ink, np.clip(_THICKNESS - away, 0, 1) * drawn[:, None], out=ink, casting="same_kind")
    _dot(ink, curves.left, curves.left_dots)
    _dot(ink, curves.left + curves.distance, curves.right_dots)
    ink[curves.is_upright] = ink[curves.is_upright].swapaxes(1, 2)
    return ink


def _course(t: Float[NDArray, "b x"]) -> tuple[Float[NDArray, "b x"], Float[NDArray, "b x"]]:
    """s, the smoothest step of degree five from 0 to 1, and its slope."""
    t = t.clip(0, 1)
    return t**3 * (10 - 15 * t + 6 * t * t), 30 * t**2 * (1 - t) ** 2


def _below(curve: Int[NDArray, " b"] | int) -> Float[NDArray, " b"]:
    """How far a curve is below the middle of the two."""
    return SPACING * (np.asarray(curve) - 0.5)


def _dot(ink: Float[NDArray, "b y x"], column: Float[NDArray, " b"], row: Float[NDArray, " b"]) -> None:
    """Put a dot into each picture."""
    places = np.arange(ink.shape[-1])
    across, down = places - column[:, None], places - row[:, None]
    radius = np.sqrt(down[:, :, None] ** 2 + across[:, None] ** 2)
    np.maximum(ink, np.clip(_DOT - radius, 0, 1), out=ink, casting="same_kind")
