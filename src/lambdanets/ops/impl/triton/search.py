"""Faster launch rows for the GPU at hand: from each built-in row downhill, one size at a time, by measuring.

A row whose kernels do not compile or do not fit, or whose results differ from the built-in row's by more than rounding,
is passed over; one that was found has to win once more. What it computes does not depend on which it is.
"""

import functools
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from triton import TritonError

from lambdanets.ops.impl.triton.launches import LAUNCHES, SEARCHED_HEADS, SEARCHED_KEYS
from lambdanets.ops.impl.triton.run import (
    Maps,
    built_in_for,
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
GAIN = 0.97
"""What a row's share of the time has to be below, over that of the best one so far: a little is noise."""
RUNS = 7
"""Times that a row and the built-in one are measured in turn; the medians count."""
ALIKE = {2: 1e-2, 4: 1e-4}
"""By bytes of a number: how far apart results may lie, rms over rms. Rounding does less, a fault more."""
IMAGES, CHANNELS = 64, 64
"""Of the problems that are measured, unless the row is for more channels, or for fewer images."""
LEAST_IMAGES = 8
"""Rows for fewer are not searched: such calls take as long as the host takes to launch them."""
Size = tuple[int, int, int, int]
"""b, v, the side of the map and that of the window."""


@dataclass(frozen=True)
class Found:
    """What the search made of one built-in row."""

    row: Launch
    """The best one; the built-in one where none was faster."""
    share: float = 1.0
    """Of the built-in row's time, the geometric mean of the problems."""
    tried: int = 0
    """Rows that were measured beside it."""


def search_launches(rows: tuple[Launch, ...], device: str, minutes: float, timed: Stopwatch) -> Iterator[Found]:
    """What was found from each of these rows, one after the other; those that are worth it share the minutes evenly."""
    end = time.monotonic() + 60 * minutes
    left = sum(bool(sizes_of(row)) for row in rows)
    for row in rows:
        now, found = time.monotonic(), Found(row)
        if sizes_of(row) and now < end:
            try:
                trials = [Trial(row, size, device, timed) for size in sizes_of(row)]
                found = search(row, functools.partial(_share, trials), now + (end - now) / left)
            except (TritonError, RuntimeError) as error:  # the built-in row itself: for want of memory, say
                finish(device)  # raises where the GPU is lost
                warnings.warn(f"{row} is not searched: {error}", RuntimeWarning, stacklevel=2)
        left -= bool(sizes_of(row))
        yield found


def _share(trials: "list[Trial]", row: Launch) -> float:
    return math.prod(trial.share(row) for trial in trials) ** (1 / len(trials))


def rows_of(capability: int) -> tuple[Launch, ...]:
    """The built-in rows that a GPU of this compute capability goes by, as its own: bf16 and many columns first."""
    newest = max(row.architecture for row in LAUNCHES if row.architecture <= built_in_for(capability))
    mine = [replace(row, architecture=capability) for row in LAUNCHES if row.architecture == newest]
    return tuple(sorted(mine, key=lambda row: (row.itemsize, -row.least_columns)))


def sizes_of(row: Launch) -> tuple[Size, ...]:
    """Two problems with as many columns as the row is for: a window of 23 at 32 × 32, a global one at 14 × 14.

    None for a row of small calls.
    """
    b, v = IMAGES, CHANNELS
    if row.what in ("value", "table"):
        v = max(v, row.least_columns)
    else:
        mine = [one for one in rows_of(row.architecture) if (one.what, one.itemsize) == (row.what, row.itemsize)]
        larger = [one.least_columns for one in mine if one.least_columns > row.least_columns]
        b = min([b, *((least - 1) // v for least in larger)])
    return ((b, v, 32, 23), (b, v, 14, 27)) if b >= LEAST_IMAGES else ()


def search(row: Launch, share: Callable[[Launch], float], end: float) -> Found:
    """Downhill from a row: to a neighbour that takes a smaller share of the row's time, until none of them does."""
    best, known = row, {row: 1.0}
    improved = True
    while improved:
        improved = False
        for candidate in neighbours(best):
            if time.monotonic() > end:
                break
            if candidate not in known:
                known[candidate] = share(candidate)
            if known[candidate] < GAIN * known[best]:
                best, improved = candidate, True
                break
    tried, again = len(known) - 1, 1.0 if best == row else share(best)
    return Found(best, again, tried) if again < GAIN else Found(row, 1.0, tried)


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
        (b, v, side, r), h, k = size, SEARCHED_HEADS, SEARCHED_KEYS
        dtype = torch.bfloat16 if row.itemsize == 2 else torch.float32
        generator = torch.Generator().manual_seed(0)
        shapes = (b, side, side, h, k), (b, side, side, 1, v), (k, 1, r, r), (b, side, side, h, v)
        drawn = [torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes]
        self._query, self._value, self._table, self._grad = drawn
        self._timed, self._device = timed, device
        self._wanted = self._result(row)
        self._built_in = self._ready(row)

    def share(self, row: Launch) -> float:
        """The row's time over the built-in one's; infinity if it fails or computes something else."""
        try:
            if not _distance(self._result(row), self._wanted) <= ALIKE[row.itemsize]:
                return math.inf
            call = self._ready(row)
            times = [(self._timed(call), self._timed(self._built_in)) for _ in range(RUNS)]
        except (TritonError, RuntimeError):
            finish(self._device)  # raises where not the row but the GPU is lost
            return math.inf
        return statistics.median(mine for mine, _ in times) / statistics.median(theirs for _, theirs in times)

    def _ready(self, row: Launch) -> Callable[[], object]:
        """The pass as one thing to start, so that it is not the host that is measured; it has been run before."""
        if torch.device(self._device).type != "cuda":
            return lambda: self._result(row)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._result(row)
        return graph.replay

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
