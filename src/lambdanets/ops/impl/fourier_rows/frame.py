"""How a problem is laid out: planes × rows × columns, and how each axis is treated.

A map of one to three axes becomes planes (summed directly), rows (Toeplitz products, or blocks of rows through a
second Fourier transform) and columns (Fourier). A map of one axis is folded: position p is row p // columns,
column p % columns, and offset δ is the pair (D, e) with δ = D·columns + e. A map of two axes may be turned, so that
the cheaper axis carries the Fourier transform.

Letters beside the paper's: f column frequencies, g row-block frequencies, j rows at a time, c real and imaginary part.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from lambdanets.ops.tiles import even_step, spans

STEP_BYTES = 2_400_000
"""What one step may write and still find again, near the core, a moment later."""

STEP_ROWS = 8
"""Rows at a time where a step cannot hold all: more rows share the slab, but read more of it in vain."""

MIRROR_COLUMNS = 96
"""Columns from which halving the transform back pays for adding its halves."""

WIDTH = {True: 256, False: 64}
"""Columns of a product, as many images side by side as that takes: wide for small maps, whose steps are cheap."""

SMALL_MAP = 1024
"""Positions of a small map, at most."""

LONG_ROWS = 48
"""From this many rows on, in reach of one another, blocks of rows by a second Fourier transform pay."""

BLOCK = 8
"""Rows in a block of that second transform."""

SPACING = 16
"""Numbers after each line over blocks; without them frequencies lie a power of two apart, in a few sets of a cache."""


@dataclass(frozen=True)
class Frame:
    """The sizes that `fourier_rows` works with; a pure function of the problem."""

    size: tuple[int, ...]
    """Sides of the map."""
    reach: tuple[int, ...]
    """Sides of the table cropped to the map, odd."""
    turned: bool
    """Whether a map of two axes has its first axis as columns."""
    planes: int
    rows: int
    columns: int
    sides: tuple[int, int, int]
    """Sides of the table over planes, rows and columns, after folding."""
    block: int
    """Rows in a block; all rows where there is no second transform."""
    blocks: int
    """Blocks of rows; 1: no second transform."""
    images: int
    """Images whose values stand side by side in one product."""
    step: int
    """Rows (of each block) computed at a time."""
    group: int
    """Column frequencies at a time; all of them where there is no second transform."""
    span: int
    """Blocks whose lambdas are in memory at a time."""

    @classmethod
    def of(cls, size: Sequence[int], reach: Sequence[int], b: int, k: int, v: int) -> "Frame":
        """The frame for maps of this size under a table cropped to `reach`, for b images of depths k and v."""
        size, reach = tuple(size), tuple(reach)
        turned = len(size) == 2 and _column_work(size[::-1], reach[::-1]) < 0.85 * _column_work(size, reach)
        planes, rows, columns, sides = _axes(size, reach, turned)
        images = min(b, max(1, WIDTH[math.prod(size) <= SMALL_MAP] // v))
        frequencies = period(columns, sides[2]) // 2 + 1
        if rows < LONG_ROWS or sides[1] < rows:
            numbers = 2 * frequencies * k * images * v
            step = min(rows, max(1, round(STEP_BYTES / (4 * numbers))))
            if step < rows:
                step = min(step, STEP_ROWS)
            step = even_step(rows, step)
            return cls(size, reach, turned, planes, rows, columns, sides, rows, 1, images, step, frequencies, 1)
        blocks = -(-rows // BLOCK)
        numbers = 2 * (blocks + block_reach(sides[1], BLOCK, blocks)) * k * images * v
        group = even_step(frequencies, max(1, round(STEP_BYTES / (4 * numbers))))
        span = max(1, min(blocks, STEP_BYTES // (4 * columns * k * images * v)))
        return cls(size, reach, turned, planes, rows, columns, sides, BLOCK, blocks, images, 1, group, span)

    @property
    def period(self) -> int:
        """Of the Fourier transform over columns: odd, long enough that nothing wraps onto a wanted column."""
        return period(self.columns, self.sides[2])

    @property
    def frequencies(self) -> int:
        """Column frequencies f: half the period and the constant."""
        return self.period // 2 + 1

    @property
    def is_mirrored(self) -> bool:
        """Whether the transform back is the sum of a part even and a part odd about the middle, half of each."""
        return self.columns >= MIRROR_COLUMNS

    @property
    def block_reach(self) -> int:
        """How many blocks away an offset of the table can lead."""
        return block_reach(self.sides[1], self.block, self.blocks) if self.blocks > 1 else 0

    @property
    def block_frequencies(self) -> int:
        """Row-block frequencies g."""
        return self.blocks + self.block_reach

    def numbers_of_lines(self, width: int) -> int:
        """Numbers of λ̂ over columns, between the two transforms, of a row of every block; 0: there is one transform."""
        return self.frequencies * 2 * self.blocks * (width + SPACING) if self.blocks > 1 else 0

    @property
    def window(self) -> int:
        """Offsets over rows, inside one block or over all rows."""
        return self.sides[1] if self.blocks == 1 else 2 * self.block - 1

    def table(self, cropped: Tensor) -> Tensor:
        """The cropped (k, u, *reach) table over the frame's axes, (k, u, planes, rows, columns)."""
        if len(self.size) == 1:
            return fold(cropped, 2, self.columns, self.sides[1] // 2)[:, :, None]
        if len(self.size) == 2:
            return (cropped.transpose(2, 3) if self.turned else cropped)[:, :, None]
        return cropped

    def table_gradient(self, gradient: Tensor) -> Tensor:
        """The gradient of the cropped table from that of `table`: its adjoint."""
        if len(self.size) == 1:
            return unfold(gradient[:, :, 0], 2, self.columns, self.reach[0])
        if len(self.size) == 2:
            return gradient[:, :, 0].transpose(2, 3) if self.turned else gradient[:, :, 0]
        return gradient

    @property
    def is_plain(self) -> bool:
        """Whether the lines of a map are its rows as they lie."""
        return not self.turned and self._missing == 0

    @property
    def _missing(self) -> int:
        """Positions that a folded map lacks to be whole lines."""
        return self.planes * self.rows * self.columns - math.prod(self.size)

    def lines(self, maps: Tensor) -> Tensor:
        """Maps (*size, c) as (planes·rows, columns, c), contiguous, a view where that is possible; ends in zeros."""
        if self.turned:
            return maps.transpose(0, 1).contiguous()
        flat = maps.reshape(-1, maps.shape[-1])
        if self._missing:
            flat = F.pad(flat, (0, 0, 0, self._missing))
        return flat.view(self.planes * self.rows, self.columns, -1)

    def unlines(self, lines: Tensor) -> Tensor:
        """Lines (planes·rows, columns, c) as maps (*size, c), a view: the inverse of `lines`."""
        if self.turned:
            return lines.transpose(0, 1)
        return lines.flatten(0, 1)[: math.prod(self.size)].view(*self.size, -1)

    def steps(self) -> Iterator["Step"]:
        """What is computed at a time: a few rows (of every block) of one plane."""
        half = self.window // 2
        for plane in range(self.planes):
            for first in range(0, self.block, self.step):
                last = min(self.block, first + self.step)
                low, high = max(0, first - half), min(self.block, last + half)
                yield Step(plane, first, last, slice(low, high), slice(low - first + half, high - first + half))

    def writes(self, step: "Step") -> bool:
        """Whether a step is the first and sees all of the context, so that it need not add to what was there."""
        return self.planes == 1 and step.first == 0 and step.seen == slice(0, self.block)

    def planes_seen(self, plane: int) -> range:
        """The planes of the context in reach of a plane."""
        half = self.sides[0] // 2
        return range(max(0, plane - half), min(self.planes, plane + half + 1))

    def lines_of(self, step: "Step") -> Iterator[tuple[slice, slice]]:
        """Blocks, and the lines that a step computes in them; none past the last row."""
        start, stop = step.plane * self.rows + step.first, (step.plane + 1) * self.rows
        if self.blocks == 1:
            yield slice(0, 1), slice(start, start + step.last - step.first)
            return
        blocks = len(range(start, stop, self.block))
        for first, last in spans(blocks, self.span):
            rows = slice(start + first * self.block, min(stop, start + last * self.block), self.block)
            yield slice(first, last), rows


@dataclass(frozen=True)
class Step:
    """Rows first … last − 1 of every block of one plane, and what they read."""

    plane: int
    first: int
    last: int
    seen: slice
    """Rows of the context in reach."""
    entries: slice
    """Their offsets in the window, counted for the first row of the step."""


def period(columns: int, side: int) -> int:
    """An odd period (one constant, otherwise pairs of frequencies) in which a correlation does not wrap."""
    return (columns + side // 2) | 1


def block_reach(side: int, block: int, blocks: int) -> int:
    """How many blocks of this many rows (or columns) away a table of this side leads."""
    return min(blocks - 1, (side // 2 + block - 1) // block)


def _column_work(size: Sequence[int], reach: Sequence[int]) -> float:
    """Multiply-adds per lambda with the last of two axes as columns."""
    stretch = period(size[1], reach[1]) / size[1]
    return 4 * min(size[0], reach[0]) * stretch + 2 * period(size[1], reach[1])


def _axes(size: tuple[int, ...], reach: tuple[int, ...], turned: bool) -> tuple[int, int, int, tuple[int, int, int]]:
    """Planes, rows, columns, and the sides of the table over them."""
    if len(size) == 1:
        # 8·(r/columns) + 4·columns multiply-adds per lambda are fewest near √(2·r) columns
        columns = min(size[0], 8 * max(1, round(math.sqrt(2 * reach[0]) / 8)))
        rows = -(-size[0] // columns)
        return 1, rows, columns, (1, 2 * block_reach(reach[0], columns, rows) + 1, 2 * columns - 1)
    if len(size) == 2:
        (rows, columns), (high, wide) = (size[::-1], reach[::-1]) if turned else (size, reach)
        return 1, rows, columns, (1, high, wide)
    return size[0], size[1], size[2], (reach[0], reach[1], reach[2])


def fold(table: Tensor, axis: int, side: int, reach: int) -> Tensor:
    """An axis of odd length as two, (2·reach + 1, 2·side − 1): entry (D, e) is the one at offset D·side + e."""
    surplus = (reach + 1) * side - 1 - table.shape[axis] // 2
    if surplus > 0:
        table = F.pad(table, [0, 0] * (table.ndim - 1 - axis) + [surplus, surplus])
    else:
        table = table.narrow(axis, -surplus, table.shape[axis] + 2 * surplus)
    return table.unfold(axis, 2 * side - 1, side).movedim(-1, axis + 1)


def unfold(gradient: Tensor, axis: int, side: int, length: int) -> Tensor:
    """The adjoint of `fold`: entries that stand for the same offset are summed, into an axis of this length."""
    blocks, window = gradient.shape[axis : axis + 2]
    sides = list(gradient.shape)
    sides[axis : axis + 2] = [(blocks - 1) * side + window]
    total = gradient.new_zeros(sides)
    for index in range(blocks):
        total.narrow(axis, index * side, window).add_(gradient.select(axis, index))
    margin = (length - sides[axis]) // 2
    if margin < 0:
        return total.narrow(axis, -margin, length)
    return F.pad(total, [0, 0] * (total.ndim - 1 - axis) + [margin, margin])
