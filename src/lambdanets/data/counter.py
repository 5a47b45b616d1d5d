"""Randomness without state: every random number is a pure function of integers that name its place.

A run that is stopped and resumed, or spread over other workers, draws the same numbers, because nothing has to be
remembered: the number for (seed, epoch, image) is computed from these three. The mixing function is the finaliser of
splitmix64 (Steele, Lea, Flood 2014), applied once for each counter.
"""

from enum import IntEnum, unique

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


@unique
class Purpose(IntEnum):
    """What a random number is for; the first counter, so that no two uses share numbers."""

    ORDER = 1
    AUGMENT = 2
    INIT = 3
    STEP = 4
    POOL = 5
    LABELLED = 6
    PROPOSALS = 7
    SCENES = 8
    MARKS = 9


def random_words(purpose: Purpose, *counters: ArrayLike) -> NDArray[np.uint64]:
    """64 random bits for each combination of counters (integers or integer arrays, broadcast together)."""
    arrays = (np.atleast_1d(np.asarray(counter, dtype=np.int64)).astype(np.uint64) for counter in (purpose, *counters))
    words = np.zeros(1, dtype=np.uint64)
    for array in arrays:
        words = _mix((words ^ array) + _GAMMA)
    return words


def random_uniforms(purpose: Purpose, *counters: ArrayLike) -> NDArray[np.float64]:
    """Numbers in [0, 1), all 2^53 of them equally likely, one for each combination of counters."""
    return (random_words(purpose, *counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def random_seed(purpose: Purpose, *counters: int) -> int:
    """One non-negative 63-bit integer, to seed a generator that wants one."""
    return int(random_words(purpose, *counters)[0] >> np.uint64(1))


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of 64-bit words in which each input bit moves about half of the output bits."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
