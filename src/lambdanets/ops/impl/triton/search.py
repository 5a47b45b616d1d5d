"""Faster launch rows for the GPU at hand: from each built-in row downhill, one size at a time, by measuring.

A row whose kernels do not compile or do not fit, or whose results differ from the built-in row's by more than rounding,
is passed over. Which row is found depends on the minute; what it computes does not.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from triton import TritonError

from lambdanets.ops.impl.triton.launches import LAUNCHES
from lambdanets.ops.impl.triton.run import (
    Maps,
    run_output,
    run_query_gradient,
    run_table_gradient,
    run_value_gradient,
)
from lambdanets.ops.launch import Launch
from lambdanets.ops.stopwatch import Stopwatch, finish

LIMITS = {"warps": (2, 16), "stages": (1, 6), "step": (16, 256), "columns": (16, 256), "rows": (16, 512)}
"""The sizes of a row that are searched, the least and the most of each."""
MOST_SUMS = 128
"""Sums that a thread of a program holds at most; more are spilled from its registers."""
GAIN = 0.98
"""What a row's time has to be below, over that of the best one so far: a hundredth or two is noise."""
RUNS = 5
"""Times that a pass is measured, of which the median counts."""
ALIKE = {2: 1e-2, 4: 1e-4}
"""By bytes of a number: how far apart results may lie, rms over rms. Rounding does less, a fault more."""
HEADS, KEYS = 4, 16
"""The paper's, of all problems that are measured."""
Size = tuple[int, int, int, int]
"""b, v, the side of the map and that of the window."""


@dataclass(frozen=True)
class Found:
    """What the search made of one built-in row."""

    row: Launch
    """The best one; the built-in one where none was faster."""
    share: float
    """Of the built-in row's time, the geometric mean of the problems; 1 for itself."""


def search_launches(rows: tuple[Launch, ...], device: str, minutes: float, timed: Stopwatch) -> Iterator[Found]:
    """The best row that was found from each of these, one after the other; after `minutes` none is tried any more."""
    end = time.monotonic() + 60 * minutes
    for row in rows:
        if time.monotonic() > end:
            yield Found(row, 1.0)
            continue
        trials = [Trial(row, size, device, timed) for size in sizes_of(row)]

        def share(candidate: Launch, trials: list[Trial] = trials) -> float:
            return math.prod(trial.share(candidate) for trial in trials) ** (1 / len(trials))

        yield search(row, share, end)


def rows_of(architecture: int) -> tuple[Launch, ...]:
    """The built-in rows that a GPU of this compute capability goes by, as its own: of bf16 and of large calls first."""
    newest = max(row.architecture for row in LAUNCHES if row.architecture <= architecture)
    mine = [replace(row, architecture=architecture) for row in LAUNCHES if row.architecture == newest]
    return tuple(sorted(mine, key=lambda row: (row.itemsize, -math.prod(sizes_of(row)[0][:2]))))


def sizes_of(row: Launch) -> tuple[Size, Size]:
    """Two problems with as many columns as the row is for: a window of 23 at 32 × 32, a global one at 14 × 14.

    Where the row is for any number, the channels of the second are ones that are loaded one by one.
    """
    least = row.least_columns
    if row.what in ("value", "table"):
        b, v = 64, max(64, least)
    else:
        b, v = (least // 16 if least > 64 else 1, 64) if least else (2, 16)
    return (b, v, 32, 23), (b, v if least else 20, 14, 27)


def search(row: Launch, share: Callable[[Launch], float], end: float) -> Found:
    """Downhill from a row: to a neighbour that takes a smaller share of the row's time, until none of them does."""
    best, known = row, {row: 1.0}
    improved = True
    while improved:
        improved = False
        for candidate in neighbours(best):
            if time.monotonic() > end:
                return Found(best, known[best])
            if candidate not in known:
                known[candidate] = share(candidate)
            if known[candidate] < GAIN * known[best]:
                best, improved = candidate, True
                break
    return Found(best, known[best])


def neighbours(row: Launch) -> list[Launch]:
    """The rows that differ in one size, by a factor of two or one stage, and that no thread has too many sums of."""
    changed = [
        replace(row, **{name: size})
        for name, (least, most) in LIMITS.items()
        for size in _next_to(name, getattr(row, name))
        if least <= size <= most
    ]
    return [candidate for candidate in changed if _sums(candidate) <= MOST_SUMS]


def _next_to(name: str, size: int) -> tuple[int, int]:
    return (size - 1, size + 1) if name == "stages" else (size // 2, 2 * size)


def _sums(row: Launch) -> int:
    """Sums of a thread."""
    return row.rows * (row.step if row.what == "table" else row.columns) // (32 * row.warps)


class Trial:
    """One pass of one problem, run by any row and held against the built-in one."""

    def __init__(self, row: Launch, size: Size, device: str, timed: Stopwatch) -> None:
        b, v, side, r = size
        dtype = torch.bfloat16 if row.itemsize == 2 else torch.float32
        generator = torch.Generator().manual_seed(0)
        shapes = (b, side, side, HEADS, KEYS), (b, side, side, 1, v), (KEYS, 1, r, r), (b, side, side, HEADS, v)
        drawn = [torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes]
        self._query, self._value, self._table, self._grad = drawn
        self._timed, self._device = timed, device
        self._wanted = self._result(row)
        self._seconds = self._median(row)

    def share(self, row: Launch) -> float:
        """The row's time over the built-in one's; infinity if it fails or computes something else."""
        try:
            error = _distance(self._result(row), self._wanted)
            return self._median(row) / self._seconds if error <= ALIKE[row.itemsize] else math.inf
        except (TritonError, RuntimeError):
            finish(self._device)  # raises where not the row but the GPU is lost
            return math.inf

    def _median(self, row: Launch) -> float:
        return statistics.median(self._timed(lambda: self._result(row)) for _ in range(RUNS))

    def _result(self, row: Launch) -> Tensor:
        only = (replace(row, least_columns=0),)
        maps = Maps(self._query, self._value, self._table, only, row.architecture)
        if row.what == "output":
            return run_output(maps)
        if row.what == "query":
            return run_query_gradient(maps, self._grad)
        if row.what == "value":
            return run_value_gradient(maps, self._grad)
        return run_table_gradient(maps, self._grad, tuple(self._table.shape[2:]))


def _distance(one: Tensor, other: Tensor) -> float:
    """The rms of the difference over that of the other."""
    return float((one.double() - other.double()).square().mean().sqrt() / other.double().square().mean().sqrt())
