"""Which marks are alike? A generated task that asks how marks 22 to 28 pixels apart go together.

    data = LikeMarksConfig().load()
    batch = data.test.plain(np.arange(8))

Four strokes stand at the corners of a square, two leaning to the left and two to the right; like ones stand side by
side (label 1) or one above the other (label 0). To make the one of the other, let two strokes in opposite corners
change places: that changes no sum over a row or a column, and no patch of `PATCH` pixels but its place. So whatever is
made of a bag of such patches is at chance. docs/decisions/0012-long-range.md says why the task is so.

Every training picture is a pure function of (seed, epoch, index). Those to judge by are always the same, as many of
each label at each distance.

Letters: b pictures, r and s rows and columns of the square, y rows and x columns of pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray

from lambdanets.data.batch import LabelledBatch, whole_batch
from lambdanets.data.counter import Purpose, random_uniforms
from lambdanets.data.ranges import refuse_outside
from lambdanets.preprocess import Preprocess

FORM = 4
"""The fourth form of the task: docs/decisions/0012-long-range.md."""
PATCH = 11
"""Pixels of a side of patches that tell nothing, however they are counted: none holds parts of two marks, or of a mark
and what is beyond an edge."""
NUM_CHANCES = 11
"""Random numbers a picture."""
_MARK = 9
"""Pixels of a mark's side."""
_STRAY = 4
"""A mark is less than so many pixels below its corner, and to the right of it: by chance, so that where one falls on a
grid of so many pixels, as the networks' stems have, tells nothing about another."""
_MARGIN = PATCH - 1
"""Pixels that marks leave free at each edge, at least."""
_NEAREST = 22
"""Least pixels from corner to corner: nearer, a patch could hold parts of two marks."""


@dataclass(frozen=True, kw_only=True)
class LikeMarksConfig:
    """How many pictures there are, and how far apart the marks."""

    image_size: int = 64
    """Rows and columns of a picture, in pixels, 64…256."""
    distances: tuple[int, ...] = (22, 25, 28)
    """Pixels from corner to corner; each 22 up to the side less 32."""
    num_train: int = 12_800
    """Pictures of an epoch, 1 or more; every epoch has other ones."""
    num_test: int = 1500
    """Pictures to judge by, 1…100 000; a multiple of six has as many of each label at each of three distances."""
    num_validation: int = 0
    """Pictures to choose settings by, other ones. With any, the run is judged on them and never sees the test."""

    def __post_init__(self) -> None:
        """Refuse numbers outside the ranges above."""
        refuse_outside(self, "data", image_size=(64, 256), num_train=(1, 2**40))
        refuse_outside(self, "data", num_test=(1, 100_000), num_validation=(0, 100_000))
        longest = _room(self.image_size)
        if not self.distances or not all(_NEAREST <= distance <= longest for distance in self.distances):
            raise ValueError(
                f"data.distances: got {list(self.distances)}, wanted one or more of {_NEAREST} to {longest} pixels."
            )

    @property
    def preprocess(self) -> Preprocess:
        """What a picture goes through before the network."""
        return Preprocess(size=(self.image_size, self.image_size), mean=(0.016,), std=(0.11,))

    def load(self) -> "LikeMarks":
        """The splits; pictures are drawn when they are asked for, about 0.1 ms each."""
        validation = LikeMarksSplit("validation", self.num_validation, self) if self.num_validation else None
        return LikeMarks(
            train=LikeMarksSplit("train", self.num_train, self),
            validation=validation,
            test=LikeMarksSplit("test", self.num_test, self),
        )


@dataclass(frozen=True)
class LikeMarksSplit:
    """Pictures that are drawn when they are asked for."""

    kind: str
    """train, validation or test."""
    count: int
    config: LikeMarksConfig
    num_classes: int = 2
    num_channels: int = 1
    classes: tuple[str, ...] = ("above", "beside")

    def __len__(self) -> int:
        """Number of pictures."""
        return self.count

    def name(self, index: int) -> str:
        """What a picture is called."""
        return f"{self.kind} picture {index}"

    def distance(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pixels from corner to corner in these pictures; three pictures in a row have the three distances."""
        return np.array(self.config.distances)[indices % len(self.config.distances)]

    def beside(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Their labels: like marks are side by side in half of the pictures of every distance."""
        return indices // len(self.config.distances) % 2

    def plain(self, indices: NDArray[np.int64]) -> LabelledBatch:
        """The pictures (b, 1, y, x) of these indices, and their labels."""
        return self._drawn(indices, np.zeros_like(indices), 0)

    def augmented(self, indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int) -> LabelledBatch:
        """Those that these indices have in these epochs of a run with this seed."""
        return self._drawn(indices, epochs, seed)

    def _drawn(self, indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int) -> LabelledBatch:
        stream = ("train", "validation", "test").index(self.kind)
        places = (stream, seed, epochs[:, None], indices[:, None])
        chances = random_uniforms(Purpose.MARKS, *places, np.arange(NUM_CHANCES))
        beside, side = self.beside(indices), self.config.image_size
        marks = Marks.by_chance(chances, self.distance(indices), beside, side)
        return whole_batch(self.as_input(marks.drawn(side)), torch.from_numpy(beside))

    def as_input(self, ink: Float[NDArray, "b y x"]) -> Float[torch.Tensor, "b 1 y x"]:
        """Pictures with ink in 0…1 as a network takes them."""
        return self.config.preprocess.normalize(torch.from_numpy(ink)[:, None])


@dataclass(frozen=True)
class LikeMarks:
    """The task, split. The validation split is None unless pictures were asked for."""

    train: LikeMarksSplit
    validation: LikeMarksSplit | None
    test: LikeMarksSplit


@dataclass(frozen=True)
class Marks:
    """What b pictures show: four marks each."""

    rows: Int[NDArray, "b r s"]
    """Uppermost row of each mark."""
    columns: Int[NDArray, "b r s"]
    """Leftmost column of each."""
    kinds: Int[NDArray, "b r s"]
    """0 where it falls from left to right, 1 where it rises."""

    @classmethod
    def by_chance(
        cls, chances: Float[NDArray, "b n"], distance: Int[NDArray, " b"], beside: Int[NDArray, " b"], side: int
    ) -> "Marks":
        """Marks made of `NUM_CHANCES` numbers in [0, 1) each.

        Args:
            chances: the numbers.
            distance: pixels from corner to corner.
            beside: 1 where like marks stand side by side, 0 where one stands above the other.
            side: rows and columns of the picture.
        """
        first = _MARGIN + np.floor(chances[:, :2] * (_room(side) - distance[:, None] + 1)).astype(np.int64)
        strays = np.floor(chances[:, 3:] * _STRAY).astype(np.int64).reshape(-1, 2, 2, 2)
        row, column = np.indices((2, 2))
        change = np.where(beside[:, None, None] == 1, row, column)
        return cls(
            rows=first[:, 0, None, None] + row * distance[:, None, None] + strays[:, 0],
            columns=first[:, 1, None, None] + column * distance[:, None, None] + strays[:, 1],
            kinds=(chances[:, 2] < 0.5)[:, None, None] ^ change,
        )

    def drawn(self, side: int) -> Float[NDArray, "b y x"]:
        """The pictures, ink in 0…1, float32."""
        ink = np.zeros((len(self.kinds), side, side), np.float32)
        pictures, across = np.arange(len(ink))[:, None, None], np.arange(_MARK)
        for corner in np.ndindex(2, 2):
            at = (slice(None), *corner)
            rows, columns = self.rows[at][:, None, None] + across[:, None], self.columns[at][:, None, None] + across
            ink[pictures, rows, columns] = _STROKES[self.kinds[at]]
        return ink


def _room(side: int) -> int:
    """The greatest distance from corner to corner in a picture of this side."""
    return side - 2 * _MARGIN - _MARK - (_STRAY - 1)


def _strokes() -> Float[NDArray, "2 y x"]:
    """A stroke that falls and one that rises, with the same sums over rows and over columns."""
    down, across = np.indices((_MARK, _MARK))
    falling = np.clip(1.2 - np.abs(down - across) / np.sqrt(2), 0, 1)
    return np.stack([falling, falling[:, ::-1]]).astype(np.float32)


_STROKES = _strokes()
