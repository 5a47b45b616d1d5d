"""This process's share of the samples: of every step, and of the split that is judged; each falls to one process.

Both are pure functions of seed and step, so that a run resumes at any step, on any number of processes or workers.
"""

import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.batch import LabelledBatch
from lambdanets.data.loader import LoaderConfig, Request, load_batches
from lambdanets.data.order import OwnOrder, samples_at
from lambdanets.training.distributed import Ranks


class LabelledImages(Protocol):
    """One split of a data set, as classification wants it."""

    @property
    def num_classes(self) -> int:
        """Number of classes; labels are 0 … num_classes − 1."""
        ...

    @property
    def num_channels(self) -> int:
        """Channels of an image."""
        ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def plain(self, indices: NDArray[np.int64]) -> LabelledBatch:
        """These images as they are."""
        ...

    def augmented(self, indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int) -> LabelledBatch:
        """These images, varied by a chance that is a pure function of (seed, epoch, index)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How one process gets at its samples."""

    ranks: Ranks
    loader: LoaderConfig
    batch_size: int
    """Samples of a step, of all processes together."""
    pin: bool
    """Whether batches lie in memory that a GPU reads by itself."""

    def training(
        self, split: LabelledImages, seed: int, first_step: int, stopped: Callable[[], bool]
    ) -> Generator[LabelledBatch, None, None]:
        """The augmented samples of step first_step, first_step + 1, …; InterruptedError for a wait that is stopped."""

        def requests(step: int) -> Iterator[Request]:
            """What each step asks for: every W-th sample of its batch."""
            mine = slice(self.ranks.rank, None, self.ranks.count)
            while True:
                first, size = step * self.batch_size, self.batch_size
                if isinstance(split, OwnOrder):
                    epochs, indices = split.samples_at(first, size, seed)
                else:
                    epochs, indices = samples_at(first, size, len(split), seed)
                yield Request(step, indices[mine], epochs[mine])
                step += 1

        make = _Augmented(split, seed)
        return load_batches(make, requests, first_step, self.loader, pin=self.pin, warn=warnings.warn, stopped=stopped)

    def judging(self, split: LabelledImages) -> Iterator[LabelledBatch]:
        """The samples as they are: every W-th of the split, once."""
        mine = np.arange(self.ranks.rank, len(split), self.ranks.count)
        size = -(-self.batch_size // self.ranks.count)

        def requests(first: int) -> Iterator[Request]:
            """Batch after batch of them."""
            for number in range(first, -(-len(mine) // size)):
                indices = mine[number * size : (number + 1) * size]
                yield Request(number, indices, np.zeros_like(indices))

        return load_batches(_Plain(split), requests, 0, self.loader, pin=self.pin, warn=warnings.warn)


@dataclass(frozen=True)
class _Augmented:
    """Makes training batches; a class, so that it can be sent to worker processes."""

    split: LabelledImages
    seed: int

    def __call__(self, request: Request) -> LabelledBatch:
        return self.split.augmented(request.indices, request.epochs, self.seed)


@dataclass(frozen=True)
class _Plain:
    """Makes batches to judge by."""

    split: LabelledImages

    def __call__(self, request: Request) -> LabelledBatch:
        return self.split.plain(request.indices)
