"""Which classes a network takes for which, for data of more classes than a table can show."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

MAX_TABLE = 20
"""Classes that a table of true against predicted classes has room for."""
NUM_PAIRS, NUM_WEAK = 20, 10


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Images of one class that were taken for another."""

    truth: str
    said: str
    count: int
    share: float
    """Of all images of the true class, 0…1."""


@dataclass(frozen=True, kw_only=True)
class WeakClass:
    """A class, and how many of its images were right."""

    name: str
    correct: int
    total: int


def most_confused(counts: Int[NDArray, "c c"], names: list[str]) -> list[Pair]:
    """At most NUM_PAIRS pairs of counts[true class, predicted class], those of most images first."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:NUM_PAIRS]
    places = [divmod(int(place), len(counts)) for place in order]
    totals = counts.sum(1)
    return [
        Pair(truth=names[t], said=names[s], count=int(wrong[t, s]), share=float(wrong[t, s] / totals[t]))
        for t, s in places
        if wrong[t, s]
    ]


def weakest_classes(correct: Int[NDArray, " c"], totals: Int[NDArray, " c"], names: list[str]) -> list[WeakClass]:
    """At most NUM_WEAK classes with any mistakes, those of the least share right first."""
    order = np.argsort(correct / totals.clip(1), kind="stable")
    found = [WeakClass(name=names[c], correct=int(correct[c]), total=int(totals[c])) for c in order.tolist()]
    return [weak for weak in found if weak.correct < weak.total][:NUM_WEAK]
