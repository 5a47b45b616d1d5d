"""Toeplitz rows: the lambdas of one query row are one matrix product, T times the context rows that it sees.

    λᵖ[(x, k), (b, v)] = T[(x, k), (y' − y, x')] V[(y', x'), (b, v)]      y[b, h, v] = Σ_k q[b, h, k] λᵖ[k, b, v]

T is the table expanded along x only (`tiles`); the context rows of a query row are a slice of V as it lies, and nothing
of size n × m is formed. b·n·r_h·W·k·u·v multiply-adds, all in large products: right where h·(k + v) is not far below
k·v, that is many heads or few value channels. The backward pass recomputes λ and adds up in fp32 or wider:

    dλ = qᵀ · dy        dq = dy · λᵀ        dV = Tᵀ · dλ        dT = dλ · Vᵀ, gathered into dR
"""

import itertools
import math

import torch
from jaxtyping import Float
from torch import Tensor

from lambdanets.ops.blocks import Block, Run
from lambdanets.ops.cost import Cost, Prices, Work, predicted
from lambdanets.ops.line import backward_on_plane, folded_sides, forward_on_plane
from lambdanets.ops.precision import at_least_fp32
from lambdanets.ops.problem import Problem
from lambdanets.ops.tiles import (
    Box,
    Span,
    Tiling,
    add_expanded,
    expand_table,
    fit_gradient,
    fit_table,
    spans,
    table_reach,
)

NAME = "rows"

LINE = 32
"""Columns that a map of one axis is folded into."""
NEARLY_WHOLE = 0.75
"""A window that covers this share of an axis is worked as if it covered all of it."""
PRICES: Prices = {
    "lambdas": (1.1e-11, 3.6e-11), "read": (1.5e-10, 4.4e-10), "applied": (6.2e-11, 2.8e-10),
    "table": (8.6e-10, 2.2e-09), "context": (1e-09, 3.7e-09), "moved": (7.9e-10, 0), "rows": (3.1e-06, 2.1e-05),
    "blocks": (4.7e-05, 3.2e-05), "images": (1.5e-05, 4.9e-05), "columns": (8.5e-06, 1.3e-05),
    "setup": (9.6e-05, 0.0001),
}  # fmt: skip
"""Of a multiply-add that builds lambdas, a number of T that its product reads, a multiply-add that applies them; of a
number of T, of the context of a tile and of the maps; of a query row, a block of rows, one of an image, a column of T
and a call."""
COLUMNS = 64
"""Value channels of a product, of several images where one has fewer."""
BLOCK_NUMBERS = 2**19
"""Lambdas of a block at most, unless a single row has more."""


def why_not(problem: Problem) -> str | None:
    """None: able for every map and every table."""
    return None


def work(problem: Problem) -> Work:
    """How much of each kind the forward pass does."""
    p, tiling = problem, _tiling_of(problem)
    positions, boxes, groups = math.prod(tiling.size), math.prod(tiling.size[:-2]), -(-p.b // _images(p))
    visits = groups * len(tiling.tiles) * boxes
    lambdas = p.b * positions * p.k * p.u * p.v * tiling.mean_row_length * tiling.mean_rows_seen
    return {
        "lambdas": lambdas,
        "read": lambdas / (_images(p) * p.v),
        "applied": p.b * p.n * p.h * p.k * p.v,
        "table": tiling.expanded * p.k * p.u,
        "context": visits * tiling.size[-2] * tiling.mean_row_length * p.u * _images(p) * p.v,
        "moved": p.b * p.n * (p.h * p.k + p.u * p.v + p.h * p.v),
        "rows": visits * tiling.size[-2],
        "blocks": visits * len(tiling.blocks),
        "images": p.b * visits // groups * len(tiling.blocks),
        "columns": boxes * tiling.size[-1],
        "setup": 1,
    }


def cost(problem: Problem, backward: bool) -> Cost:
    """b·n·m'·k·u·v multiply-adds, m' the context rows and columns of a tile; the lambdas of a block and T in memory."""
    p, tiling, done = problem, _tiling_of(problem), work(problem)
    group, length = _images(p), tiling.most_row_length * p.u
    block, expanded = tiling.most_positions * p.k * group * p.v, tiling.most_columns * p.k * tiling.all_row_offsets
    numbers = (2 if backward else 1) * (block + tiling.size[-2] * length * group * p.v + expanded * length)
    multiply_adds = 3 * done["lambdas"] + 2 * done["applied"] if backward else done["lambdas"] + done["applied"]
    return Cost(round(multiply_adds), numbers * p.itemsize, predicted(p, NAME, done, PRICES, backward))


def _tiling_of(p: Problem) -> Tiling:
    size, sides = p.query_size, p.scope or (1,) * len(p.query_size)
    if len(size) == 1:
        size, sides = folded_sides(size[0], sides[0], LINE)
    return _tiling(size, sides, p.k * _images(p) * p.v)


def _images(p: Problem) -> int:
    """Images that a product takes side by side."""
    return min(p.b, max(1, COLUMNS // p.v))


def forward(
    query: Float[Tensor, "b h k *N"], value: Float[Tensor, "b v u *N"], table: Float[Tensor, "k u *R"]
) -> Tensor:
    """The position output, (b, h, v, *N), its channels fastest in memory."""
    return forward_on_plane(_forward, LINE, query, value, table)


def _forward(query: Tensor, value: Tensor, table: Tensor) -> Tensor:
    rows = _Rows(query, value, table)
    outputs = query.new_empty(*rows.queries.shape[:-1], value.shape[1])
    for tile, box in itertools.product(rows.tiling.tiles, rows.tiling.boxes()):
        expanded = expand_table(rows.table, rows.tiling, tile, box)
        for images in rows.groups:
            context = rows.context(images, tile, box)
            for block in rows.blocks(expanded):
                place = (images, *box.place, slice(*block.rows), slice(*tile))
                lambdas = rows.lambdas(block, expanded, context)
                outputs[place] = _apply(rows.queries[place], lambdas)
    return outputs.movedim((-2, -1), (1, 2))


def backward(
    grad: Float[Tensor, "b h v *N"],
    query: Float[Tensor, "b h k *N"],
    value: Float[Tensor, "b v u *N"],
    table: Float[Tensor, "k u *R"],
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of query, value and table; those not needed are None. The last two are in fp32 or wider."""
    return backward_on_plane(_backward, LINE, (grad, query, value, table), needs)


def _backward(
    grad: Tensor, query: Tensor, value: Tensor, table: Tensor, needs: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    rows = _Gradients(grad, query, value, table, needs)
    for tile, box in itertools.product(rows.tiling.tiles, rows.tiling.boxes()):
        rows.visit(tile, box)
    return (
        rows.d_queries.movedim((-2, -1), (1, 2)) if needs[0] else None,
        _as_value(rows.d_values) if needs[1] else None,
        fit_gradient(rows.d_table, table, rows.tiling.size) if needs[2] else None,
    )


class _Rows:
    """Layouts, and the lambdas of a block of query rows."""

    def __init__(self, query: Tensor, value: Tensor, table: Tensor):
        b, v = value.shape[:2]
        group = min(b, max(1, COLUMNS // v))
        self.groups = [slice(*images) for images in spans(b, group)]
        size = tuple(query.shape[3:])
        self.tiling = _tiling(size, table.shape[2:], query.shape[2] * group * v)
        self.table = fit_table(table, size, self.tiling.reach)
        self.queries = query.movedim((1, 2), (-2, -1)).contiguous()  # b *lead y x h k
        self.values = _by_context_row(value)  # y' *lead' u x' b v

    def context(self, images: slice, tile: Span, box: Box) -> Tensor:
        """What a tile and a box see of a group of images, ((y', *lead', u, x'), (b, v)), dense."""
        seen = self.values[:, *box.context, :, slice(*self.tiling.context(tile)), images]
        return seen.reshape(-1, seen.shape[-2] * seen.shape[-1]).contiguous()

    def blocks(self, expanded: Tensor) -> list[Block]:
        """The blocks of query rows."""
        length = math.prod(expanded.shape[3:])
        return [Block(rows, len(expanded), 1, length, self.tiling) for rows in self.tiling.blocks]

    def lambdas(self, block: Block, expanded: Tensor, context: Tensor) -> Tensor:
        """λ as (y, x·k, (b, v))."""
        matrix = expanded.view(-1, math.prod(expanded.shape[2:]))
        lambdas = context.new_empty(block.rows[1] - block.rows[0], len(matrix), context.shape[1])
        for run in block.runs:
            if run.offset_step == 0:
                table = matrix[:, _offsets(block, run)].expand(len(lambdas[run.rows]), -1, -1)
                torch.bmm(table, block.context_of(context, run), out=lambdas[run.rows])
                continue
            for row in run.each():
                table, seen = matrix[:, _offsets(block, row)], block.context_of(context, row)[0]
                torch.mm(table, seen, out=lambdas[row.rows.start])
        return lambdas


class _Gradients(_Rows):
    """The backward pass."""

    def __init__(self, grad: Tensor, query: Tensor, value: Tensor, table: Tensor, needs: tuple[bool, bool, bool]):
        super().__init__(query, value, table)
        self.needs, self.wide = needs, at_least_fp32(query.dtype)
        self.grads = grad.movedim((1, 2), (-2, -1)).contiguous()
        self.d_queries = torch.empty_like(self.queries)
        self.d_values = torch.zeros(self.values.shape, dtype=self.wide, device=value.device)
        self.d_table = torch.zeros_like(self.table, dtype=self.wide)

    def visit(self, tile: Span, box: Box) -> None:
        """What one tile and box add to the gradients."""
        expanded = expand_table(self.table, self.tiling, tile, box)
        d_expanded = torch.zeros_like(expanded, dtype=self.wide)
        for images in self.groups:
            context = self.context(images, tile, box)
            d_context = torch.zeros_like(context, dtype=self.wide)
            for block in self.blocks(expanded):
                place = (images, *box.place, slice(*block.rows), slice(*tile))
                if self.needs[0]:
                    lambdas = self.lambdas(block, expanded, context)
                    self.d_queries[place] = _apply(self.grads[place], lambdas, transposed=True)
                if self.needs[1] or self.needs[2]:
                    d_lambdas = _outer(self.queries[place], self.grads[place])
                    self._add(block, d_lambdas, (expanded, context), (d_expanded, d_context))
            seen = self.d_values[:, *box.context, :, slice(*self.tiling.context(tile)), images]
            seen += d_context.view(seen.shape)
        add_expanded(self.d_table, d_expanded, self.tiling, tile, box)

    def _add(
        self, block: Block, d_lambdas: Tensor, factors: tuple[Tensor, Tensor], totals: tuple[Tensor, Tensor]
    ) -> None:
        """Add Tᵀ · dλ and dλ · Vᵀ, row by row, to the gradients of the context and of the expanded table."""
        matrix, context = factors[0].view(d_lambdas.shape[1], -1), factors[1]
        d_matrix, d_context = totals[0].view(matrix.shape), totals[1]
        for row in itertools.chain.from_iterable(run.each() for run in block.runs):
            offsets, seen = _offsets(block, row), slice(row.context, row.context + row.length)
            d_row = d_lambdas[row.rows.start]
            if self.needs[1]:
                _add_product(d_context[seen], matrix[:, offsets].T, d_row)
            if self.needs[2]:
                _add_product(d_matrix[:, offsets], d_row, context[seen].T)


def _offsets(block: Block, run: Run) -> slice:
    """Where the first row of a run lies among all numbers of the expanded table."""
    first = block.offsets.start + run.offset
    return slice(first, first + run.length)


def _apply(maps: Tensor, lambdas: Tensor, transposed: bool = False) -> Tensor:
    """Σ_k q λ as (b, y, x, h, v) of q (b, y, x, h, k); transposed: Σ_v dy λ of dy. λ is (y, x·k, (b, v))."""
    b, y, x, h, _ = maps.shape
    lambdas = lambdas.view(y * x, -1, b, lambdas.shape[-1] // b)
    by_image = (lambdas[:, :, i].mT if transposed else lambdas[:, :, i] for i in range(b))
    maps = maps.reshape(b, y * x, h, -1)
    return torch.stack([torch.bmm(q, image).view(y, x, h, -1) for q, image in zip(maps, by_image, strict=True)])


def _outer(queries: Tensor, grads: Tensor) -> Tensor:
    """dλ = Σ_h q dy as (y, x·k, (b, v)) of q (b, y, x, h, k) and dy (b, y, x, h, v)."""
    b, y, x, h, k = queries.shape
    product = torch.bmm(queries.reshape(-1, h, k).mT, grads.reshape(b * y * x, h, -1))
    return product.view(b, y, x * k, -1).movedim(0, 2).flatten(2)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Total += left · right; a sum over rows is not kept in a narrow dtype."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


def _by_context_row(value: Tensor) -> Tensor:
    """(b, v, u, *lead, y, x) as (y, *lead, u, x, b, v)."""
    return value.movedim((0, 1), (-2, -1)).movedim(0, -4).movedim(-5, 0)


def _as_value(values: Tensor) -> Tensor:
    """The inverse of `_by_context_row`."""
    return values.movedim(0, -5).movedim(-4, 0).movedim((-2, -1), (0, 1))


def _tiling(size: tuple[int, ...], sides: tuple[int, ...], lambdas: int) -> Tiling:
    """Tiles as narrow as large products allow; `lambdas` are the numbers of one position."""
    reach = table_reach(sides, size, NEARLY_WHOLE)
    tile = min(size[-1], 32 if reach[-1] == size[-1] - 1 else 8)
    return Tiling(tuple(size), reach, tile, min(size[-2], max(1, BLOCK_NUMBERS // (tile * lambdas))))
