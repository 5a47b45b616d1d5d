"""Blocks of queries as views of flat buffers: scores of every row offset, and the matrices among them.

A block is some query rows of a tile (see `tiles`). Its scores lie as P[x, (h, y), (y' − y, *lead', u, x')]. For one
query row y the rows (x, h) of P have a single stride, and the context that y sees is a slice of P's columns: a matrix.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from lambdanets.ops.tiles import Span, Tiling, front


class Run(NamedTuple):
    """Consecutive query rows that see equally much, each starting a constant step after the last; in numbers."""

    rows: slice
    """Of the block."""
    length: int
    """Numbers of context that each row sees."""
    context: int
    """Where the context of the first row starts, and by how much that of the next one starts later."""
    context_step: int
    offset: int
    """The same among the offsets of the block."""
    offset_step: int

    def each(self) -> "Iterator[Run]":
        """The run as runs of one row."""
        for i in range(self.rows.stop - self.rows.start):
            rows = slice(self.rows.start + i, self.rows.start + i + 1)
            start = self.context + i * self.context_step, self.offset + i * self.offset_step
            yield Run(rows, self.length, start[0], self.context_step, start[1], self.offset_step)


@dataclass(eq=False)
class Block:
    """Some query rows of a tile, and how their numbers lie in flat buffers; the same for every box and image."""

    rows: Span
    columns: int
    h: int
    """Heads."""
    length: int
    """Numbers of one context row: (*lead', u, x')."""
    tiling: Tiling

    @functools.cached_property
    def runs(self) -> list[Run]:
        """What its query rows see."""
        length, tiling = self.length, self.tiling
        reach, height, first = tiling.reach[-2], tiling.size[-2], tiling.row_offsets(self.rows)[0]
        runs: list[Run] = []
        for i, y in enumerate(range(*self.rows)):
            top, bottom = max(0, y - reach), min(height, y + reach + 1)
            numbers = (bottom - top) * length, top * length, (top - y + reach - first) * length
            if not (runs and _extend(runs, i, *numbers)):
                runs.append(Run(slice(i, i + 1), numbers[0], numbers[1], 0, numbers[2], 0))
        return runs

    @property
    def width(self) -> int:
        """Numbers of all row offsets that it reaches."""
        first, last = self.tiling.row_offsets(self.rows)
        return (last - first) * self.length

    @property
    def offsets(self) -> slice:
        """Where these lie among all of the expanded table."""
        first, last = self.tiling.row_offsets(self.rows)
        return slice(first * self.length, last * self.length)

    def by_column(self, flat: Tensor, depth: int) -> Tensor:
        """(x, h, y, depth)."""
        return front(flat, self.columns, self.h, self.rows[1] - self.rows[0], depth)

    def by_row(self, flat: Tensor, depth: int) -> Tensor:
        """(y, x, h, depth)."""
        return front(flat, self.rows[1] - self.rows[0], self.columns, self.h, depth)

    def table(self, flat: Tensor, k: int) -> Tensor:
        """The row offsets of T, (x, k, width)."""
        return front(flat, self.columns, k, self.tiling.all_row_offsets * self.length)[:, :, self.offsets]

    def table_transposed(self, flat: Tensor, k: int) -> Tensor:
        """The row offsets of Tᵀ, (x, width, k)."""
        return front(flat, self.columns, self.tiling.all_row_offsets * self.length, k)[:, self.offsets]

    def scores(self, flat: Tensor) -> Tensor:
        """The scores of all row offsets, (x, h·y, width)."""
        return front(flat, self.columns, self.h * (self.rows[1] - self.rows[0]), self.width)

    def scores_of(self, flat: Tensor, run: Run) -> Tensor:
        """The scores of a run of rows, (rows, x·h, context): the rows (x, h) of `scores` have one stride."""
        height = self.rows[1] - self.rows[0]
        size = (run.rows.stop - run.rows.start, self.columns * self.h, run.length)
        stride = (self.width + run.offset_step, height * self.width, 1)
        return flat.as_strided(size, stride, flat.storage_offset() + run.rows.start * self.width + run.offset)

    def unseen(self, flat: Tensor) -> list[Tensor]:
        """What of `scores` belongs to no run."""
        rows = self.scores(flat).view(self.columns * self.h, -1, self.width)
        ends = ((run.rows.start, run.offset, run.offset + run.length) for long in self.runs for run in long.each())
        parts = [part for y, low, high in ends for part in (rows[:, y, :low], rows[:, y, high:])]
        return [part for part in parts if part.numel()]

    def context_of(self, context: Tensor, run: Run) -> Tensor:
        """What a run of rows sees of the dense (context, depth), (rows, context, depth)."""
        depth = context.shape[1]
        size = (run.rows.stop - run.rows.start, run.length, depth)
        start = context.storage_offset() + run.context * depth
        return context.as_strided(size, (run.context_step * depth, depth, 1), start)


def _extend(runs: list[Run], row: int, length: int, context: int, offset: int) -> bool:
    """Whether the row continued the last run."""
    last = runs[-1]
    count = last.rows.stop - last.rows.start
    steps = (
        context - last.context - (count - 1) * last.context_step,
        offset - last.offset - (count - 1) * last.offset_step,
    )
    steady = length == last.length and (count == 1 or steps == (last.context_step, last.offset_step))
    if steady:
        runs[-1] = Run(slice(last.rows.start, row + 1), length, last.context, steps[0], last.offset, steps[1])
    return steady
