"""The order in which a run sees its samples: a pure function of (seed, position), so that resuming needs no state.

The run is one long row of samples: epoch after epoch, each a fresh permutation. Position p is sample p mod n of epoch
p div n. A batch is a slice of that row, so every batch is full and every sample is seen exactly once an epoch.
"""

from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.counter import Purpose, random_words


def samples_at(start: int, count: int, num_samples: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(epochs, indices), each of length `count`: which samples stand at positions start … start + count − 1."""
    positions = np.arange(start, start + count, dtype=np.int64)
    epochs, places = np.divmod(positions, num_samples)
    indices = np.empty_like(places)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        indices[here] = epoch_order(num_samples, seed, int(epoch))[places[here]]
    return epochs, indices


@runtime_checkable
class OwnOrder(Protocol):
    """A split that has an order of its own, as pure a function of seed and position."""

    def samples_at(self, start: int, count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(epochs, indices) of the batch that stands at positions start … start + count − 1 of the run."""
        ...


@lru_cache(maxsize=4)
def epoch_order(num_samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of 0 … num_samples − 1, read-only: the samples sorted by their random words."""
    order = np.argsort(random_words(Purpose.ORDER, seed, epoch, np.arange(num_samples)), kind="stable")
    order.flags.writeable = False
    return order
