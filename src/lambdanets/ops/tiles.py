"""Queries in tiles: what context a tile reaches, and the position table laid out for it.

A map of sides (*lead, H, W) is worked through by

- tiles: spans of columns of the last axis, with the span of context columns x' they reach;
- boxes: one index of each leading axis (none on a map of two axes), with the box of context it reaches;
- blocks: spans of rows y.

For a tile and a box the table is expanded along the last axis only:

    T[x, k, (y' − y, *lead', u, x')] = R[k, u, (*lead' − lead, y' − y, x' − x)], zero outside the table

so the context rows that one query row reaches are a contiguous slice of T, and nothing of size n × m is formed.
The offsets of one row, its (*lead', u, x'), are `length` numbers.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from lambdanets.ops.offsets import crop_table, pad_sides

Span = tuple[int, int]
"""A half-open range of indices."""


class Box(NamedTuple):
    """One index of the leading axes: where it is, the context it reaches, and where that lies in the table."""

    place: tuple[int, ...]
    context: tuple[slice, ...]
    table: tuple[slice, ...]


@dataclass(frozen=True)
class Tiling:
    """How a map of at least two axes is cut into tiles, boxes and blocks."""

    size: tuple[int, ...]
    """Sides of the map."""
    reach: tuple[int, ...]
    """How far a query sees to either side, an axis."""
    tile: int
    """Columns of a tile at most."""
    block: int
    """Rows of a block at most."""

    @property
    def tiles(self) -> list[Span]:
        """Nearly equal spans of columns that cover the map."""
        return spans(self.size[-1], self.tile)

    @property
    def blocks(self) -> list[Span]:
        """Nearly equal spans of rows that cover the map."""
        return spans(self.size[-2], self.block)

    @property
    def all_row_offsets(self) -> int:
        """Row offsets of the expanded table."""
        return 2 * self.reach[-2] + 1

    def context(self, tile: Span) -> Span:
        """The context columns that a tile reaches."""
        return max(0, tile[0] - self.reach[-1]), min(self.size[-1], tile[1] + self.reach[-1])

    def row_offsets(self, block: Span) -> Span:
        """The row offsets (rows of the expanded table) that a block of query rows reaches."""
        reach, height = self.reach[-2], self.size[-2]
        return max(0, reach - block[1] + 1), min(2 * reach + 1, height - block[0] + reach)

    def boxes(self) -> Iterator[Box]:
        """Every index of the leading axes; a single empty one on a map of two axes."""
        sides, reaches = self.size[:-2], self.reach[:-2]
        for index in itertools.product(*map(range, sides)):
            spans_ = [(max(0, i - p), min(side, i + p + 1)) for i, p, side in zip(index, reaches, sides, strict=True)]
            yield Box(
                index,
                tuple(slice(a, z) for a, z in spans_),
                tuple(slice(a - i + p, z - i + p) for (a, z), i, p in zip(spans_, index, reaches, strict=True)),
            )

    @property
    def most_columns(self) -> int:
        """Columns of the widest tile."""
        return max(right - left for left, right in self.tiles)

    @property
    def most_positions(self) -> int:
        """Positions of the largest block."""
        return self.most_columns * max(bottom - top for top, bottom in self.blocks)

    @property
    def most_row_offsets(self) -> int:
        """Row offsets that a block reaches at most."""
        return max(last - first for first, last in map(self.row_offsets, self.blocks))

    @property
    def most_row_length(self) -> int:
        """Context positions that a tile and a box see of one row at most."""
        return self._lead(max) * max(right - left for left, right in map(self.context, self.tiles))

    @property
    def mean_row_length(self) -> float:
        """The same, on average over the queries."""
        seen = sum((b - a) * (d - c) for (a, b), (c, d) in zip(self.tiles, map(self.context, self.tiles), strict=True))
        return self._lead(lambda sides: sum(sides) / len(sides)) * seen / self.size[-1]

    @property
    def expanded(self) -> float:
        """Numbers of the expanded table of every tile and box together, for k = u = 1."""
        return math.prod(self.size[:-2]) * self.size[-1] * self.all_row_offsets * self.mean_row_length

    @property
    def mean_row_offsets(self) -> float:
        """Row offsets of a block, on average over the rows."""
        return (
            sum(
                (b - a) * (d - c)
                for (a, b), (c, d) in zip(self.blocks, map(self.row_offsets, self.blocks), strict=True)
            )
            / self.size[-2]
        )

    @property
    def mean_rows_seen(self) -> float:
        """Context rows that a query sees, on average."""
        return sum(_seen(self.size[-2], self.reach[-2])) / self.size[-2]

    def _lead(self, pick: Callable[[list[int]], Any]) -> Any:
        """Context positions of the leading axes."""
        sides = zip(self.size[:-2], self.reach[:-2], strict=True)
        return math.prod(pick(_seen(side, reach)) for side, reach in sides)


def spans(side: int, step: int) -> list[Span]:
    """Nearly equal half-open ranges of at most `step` indices that cover `side` of them."""
    step = even_step(side, step)
    return [(i, min(side, i + step)) for i in range(0, side, step)]


def even_step(side: int, step: int) -> int:
    """The least step that covers `side` indices in as few ranges as `step` does."""
    return -(-side // -(-side // step))


def table_reach(sides: Sequence[int], size: Sequence[int], nearly: float = 1.0) -> tuple[int, ...]:
    """How far a query sees, an axis; an axis seen to `nearly` this share counts as seen whole, which is uniform."""
    whole = [side - 1 for side in size]
    reaches = [min(r // 2, most) for r, most in zip(sides, whole, strict=True)]
    return tuple(most if p >= nearly * most else p for p, most in zip(reaches, whole, strict=True))


def fit_table(table: Tensor, size: Sequence[int], reach: Sequence[int]) -> Tensor:
    """The table cropped to the map, then widened by zeros to the reach: (k, u, *(2·reach + 1))."""
    return pad_sides(crop_table(table, size), [2 * p + 1 for p in reach])


def fit_gradient(gradient: Tensor, table: Tensor, size: Sequence[int]) -> Tensor:
    """The gradient of the table from that of the fitted one: the entries beyond the table dropped, the unreached 0."""
    for axis, side in enumerate(crop_table(table, size).shape[2:], start=2):
        gradient = gradient.narrow(axis, (gradient.shape[axis] - side) // 2, side)
    return pad_sides(gradient, table.shape[2:])


def expand_table(fitted: Tensor, tiling: Tiling, tile: Span, box: Box, out: Tensor | None = None) -> Tensor:
    """T (x, k, y' − y, *lead', u, x') for a tile and a box, into the front of the flat `out` if given."""
    part = _box_of(fitted, box)
    margins = [_margins(part, tiling, tile, x) for x in range(*tile)]
    low, high = (max(0, *(m[i] for m in margins), 0) for i in range(2))
    padded = F.pad(part, (low, high)) if low or high else part
    width = tiling.context(tile)[1] - tiling.context(tile)[0]
    shape = (tile[1] - tile[0], *part.shape[:-1], width)
    expanded = fitted.new_empty(shape) if out is None else front(out, *shape)
    for slot, (margin, _) in zip(expanded, margins, strict=True):
        slot.copy_(padded.narrow(-1, low - margin, width))
    return expanded


def add_expanded(gradient: Tensor, expanded: Tensor, tiling: Tiling, tile: Span, box: Box) -> None:
    """Add the gradient of T for a tile and a box to that of the fitted table, in place."""
    part, width = _box_of(gradient, box), expanded.shape[-1]
    for slot, x in zip(expanded, range(*tile), strict=True):
        low, high = _margins(part, tiling, tile, x)
        first, last = max(0, low), width - max(0, high)
        part.narrow(-1, first - low, last - first).add_(slot.narrow(-1, first, last - first))


def front(flat: Tensor, *shape: int) -> Tensor:
    """The front of a flat buffer in a shape."""
    return flat[: math.prod(shape)].view(shape)


def _box_of(fitted: Tensor, box: Box) -> Tensor:
    """The part of the fitted table that a box reaches, as (k, y' − y, *lead', u, x' − x)."""
    lead = range(2, 2 + len(box.table))
    return fitted[(slice(None), slice(None), *box.table)].permute(0, 2 + len(lead), *lead, 1, 3 + len(lead))


def _margins(part: Tensor, tiling: Tiling, tile: Span, x: int) -> Span:
    """How far the context of the tile exceeds, left and right, what column x sees; negative: falls short."""
    left, right = tiling.context(tile)
    first = left - x + tiling.reach[-1]
    return -first, first + right - left - part.shape[-1]


def _seen(side: int, reach: int) -> list[int]:
    """How many positions of an axis each of its positions sees."""
    return [min(side, i + reach + 1) - max(0, i - reach) for i in range(side)]
