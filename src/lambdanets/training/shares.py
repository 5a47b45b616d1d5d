"""This process's share of the samples: of every step, and of the split that is judged; each falls to one process.

Both are pure functions of seed and step, so that a run resumes at any step, on any number of processes or workers.
"""

import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.batch import LabelledBatch
from lambdanets.data.loader import LoaderConfig, Request, load_batches
from lambdanets.data.order import OwnOrder, samples_at
from lambdanets.training.distributed import Ranks

Batch = TypeVar("Batch")
Given = TypeVar("Given", covariant=True)


class Samples(Protocol[Given]):
    """One split of a data set, whatever its batches are."""

    @property
    def num_channels(self) -> int:
        """Channels of an image."""
        ...

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def plain(self, indices: NDArray[np.int64]) -> Given:
        """These images as they are."""
        ...

    def augmented(self, indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int) -> Given:
        """These images, varied by a chance that is a pure function of (seed, epoch, index)."""
        ...


LabelledImages = Samples[LabelledBatch]
"""A split as classification wants it; labels are 0 … num_classes − 1."""


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
        self, split: Samples[Batch], seed: int, first_step: int, stopped: Callable[[], bool]
    ) -> Generator[Batch, None, None]:
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

    def judging(self, split: Samples[Batch]) -> Iterator[Batch]:
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
class _Augmented(Generic[Batch]):
    """Makes training batches; a class, so that it can be sent to worker processes."""

    split: Samples[Batch]
    seed: int

    def __call__(self, request: Request) -> Batch:
        return self.split.augmented(request.indices, request.epochs, self.seed)


@dataclass(frozen=True)
class _Plain(Generic[Batch]):
    """Makes batches to judge by."""

    split: Samples[Batch]

    def __call__(self, request: Request) -> Batch:
        return self.split.plain(request.indices)
