"""Are two points joined? A generated task that no bag of patches of 7 pixels can answer, at three distances.

    data = JoinedPointsConfig().load()
    batch = data.test.plain(np.arange(8))

Two dashed curves run side by side; a dot is on one end of one and on an opposite end of the same (label 1) or of the
other (label 0). After the pathfinder task of Linsley et al. 2018 (arXiv 1805.08315); `curve_drawing` says how the
pictures are made, docs/decisions/0012-long-range.md why so. Every training picture is a new one, a pure function of
(seed, epoch, index). Those to judge by are always the same, as many of each label at each distance.

Letters: b batch, y rows and x columns of pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from lambdanets.data.batch import LabelledBatch, whole_batch
from lambdanets.data.counter import Purpose, random_uniforms
from lambdanets.data.curve_drawing import NUM_CHANCES, Curves, draw_curves
from lambdanets.preprocess import Preprocess

_MARGIN = 10
"""Pixels of a picture's side that the dots leave free."""
_NEAREST = 24
"""Least pixels from dot to dot: nearer, the curves would rise near the dots."""


@dataclass(frozen=True, kw_only=True)
class JoinedPointsConfig:
    """How many pictures there are, and how far apart the points."""

    image_size: int = 48
    """Rows and columns of a picture, in pixels, 48…256."""
    distances: tuple[int, ...] = (24, 30, 36)
    """Pixels from point to point, along the curves; each 24 up to the side less 10."""
    num_train: int = 48_000
    """Pictures of an epoch, 1 or more; every epoch has other ones."""
    num_test: int = 1500
    """Pictures to judge by, 1…100 000; a multiple of six has as many of each label at each of three distances."""
    num_validation: int = 0
    """Pictures to choose settings by, other ones. With any, the run is judged on them and never sees the test."""

    def __post_init__(self) -> None:
        """Refuse numbers outside the ranges above."""
        ranges = {"image_size": (48, 256), "num_train": (1, 2**40), "num_test": (1, 100_000)}
        ranges |= {"num_validation": (0, 100_000)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"data.{name}: got {getattr(self, name)}, wanted {low} to {high}.")
        longest = self.image_size - _MARGIN
        if not self.distances or not all(_NEAREST <= distance <= longest for distance in self.distances):
            raise ValueError(
                f"data.distances: got {list(self.distances)}, wanted one or more of {_NEAREST} to {longest} pixels."
            )

    @property
    def preprocess(self) -> Preprocess:
        """What a picture goes through before the network."""
        return Preprocess(size=(self.image_size, self.image_size), mean=(0.04,), std=(0.18,))

    def load(self) -> "JoinedPoints":
        """The splits; pictures are drawn when they are asked for, about 0.3 ms each."""
        validation = JoinedPointsSplit("validation", self.num_validation, self) if self.num_validation else None
        return JoinedPoints(
            train=JoinedPointsSplit("train", self.num_train, self),
            validation=validation,
            test=JoinedPointsSplit("test", self.num_test, self),
        )


@dataclass(frozen=True)
class JoinedPointsSplit:
    """Pictures that are drawn when they are asked for."""

    kind: str
    """train, validation or test."""
    count: int
    config: JoinedPointsConfig
    num_classes: int = 2
    num_channels: int = 1
    classes: tuple[str, ...] = ("apart", "joined")

    def __len__(self) -> int:
        """Number of pictures."""
        return self.count

    def name(self, index: int) -> str:
        """What a picture is called."""
        return f"{self.kind} picture {index}"

    def distance(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pixels from point to point in these pictures; three pictures in a row have the three distances."""
        return np.array(self.config.distances)[indices % len(self.config.distances)]

    def joined(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Their labels: as many pictures joined as not, at every distance."""
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
        chances = random_uniforms(Purpose.CURVES, *places, np.arange(NUM_CHANCES))
        joined, side = self.joined(indices), self.config.image_size
        ink = draw_curves(Curves.by_chance(chances, self.distance(indices), joined, side), side)
        return whole_batch(self.as_input(ink), torch.from_numpy(joined))

    def as_input(self, ink: Float[NDArray, "b y x"]) -> Float[torch.Tensor, "b 1 y x"]:
        """Pictures with ink in 0…1 as a network takes them."""
        return self.config.preprocess.normalize(torch.from_numpy(ink)[:, None])


@dataclass(frozen=True)
class JoinedPoints:
    """The task, split. The validation split is None unless pictures were asked for."""

    train: JoinedPointsSplit
    validation: JoinedPointsSplit | None
    test: JoinedPointsSplit
