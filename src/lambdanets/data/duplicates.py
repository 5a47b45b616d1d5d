"""The same file twice in a data set: in two splits, under two labels, or only twice."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.finding import Finding

Digests = NDArray[np.uint64]
"""(n, 2): 16 bytes of each file's hash; zeros for a file that could not be read."""
Place = tuple[int, int]
"""Number of the split, and of the picture in it."""


def find_duplicates(
    splits: Sequence[str],
    digests: Sequence[Digests],
    labels: Sequence[NDArray[np.int64]],
    name: Callable[[int, int], str],
) -> Iterator[Finding]:
    """A finding for every file after the first of those that are the same; `name(split, index)` names a picture.

    In two splits, or in one under two labels, it has to be mended; else it is a note.
    """
    for places in _groups(digests):
        first, *others = places
        for other in others:
            same = f"is the same file as {name(*first)}"
            if first[0] != other[0]:
                what = f"{same}: {splits[other[0]]} would judge what {splits[first[0]]} has"
                yield _finding("leak", name(*other), what, "remove it from one of the two")
            elif labels[first[0]][first[1]] != labels[other[0]][other[1]]:
                yield _finding("two-labels", name(*other), f"{same}, which has another label", "keep the right one")
            else:
                yield _finding("twice", name(*other), same, "remove it, if it should not count twice", note=True)


def _groups(digests: Sequence[Digests]) -> Iterator[list[Place]]:
    """The places of each file that there is more than once, in order of splits."""
    every = np.concatenate([np.zeros((0, 2), dtype=np.uint64), *digests])
    split_of = np.repeat(np.arange(len(digests)), [len(part) for part in digests])
    index_of = np.concatenate([np.zeros(0, dtype=np.int64), *(np.arange(len(part)) for part in digests)])
    order = np.lexsort((np.arange(len(every)), every[:, 1], every[:, 0]))
    order = order[every[order].any(1)]
    same = (every[order[1:]] == every[order[:-1]]).all(1)
    starts = np.flatnonzero(~np.concatenate([[False], same]))
    for group in np.split(order, starts[1:]) if len(order) else []:
        if len(group) > 1:
            yield [(int(split_of[place]), int(index_of[place])) for place in group]


def _finding(kind: str, where: str, what: str, fix: str, *, note: bool = False) -> Finding:
    return Finding(kind=kind, where=where, what=what, fix=fix, note=note, broad=False)
