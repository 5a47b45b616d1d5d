"""Whole rows of E: every image at once, the queries of one row y against all positions m.

    S[x, (h, b), m] = Σ_k q[x, (h, b), k] E[x, k, m]        y[b, (y, x, h), v] = Σ_m S[b, (y, x, h), m] V[b, m, v]

Both are batched matrix products, the first over x for a row y, the second over b for a block of rows: as b lies inside
h, the rows (y, x, h) of S of one image have a single stride and nothing is copied between the two. E[x, k, m] of a row
y is a slice of the table expanded along x (`tiles`), so E is never laid out as a whole. Right for small maps that see
(nearly) all of themselves, where other orders drown in small products. The backward pass recomputes S block by block:

    dV = Sᵀ · dy        dS = dy · Vᵀ        dq = dS · Eᵀ        dE = qᵀ · dS, gathered into dR
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from lambdanets.ops.cost import Cost, Prices, Work, predicted
from lambdanets.ops.line import backward_on_plane, forward_on_plane
from lambdanets.ops.precision import at_least_fp32
from lambdanets.ops.problem import Problem
from lambdanets.ops.tiles import Box, Span, Tiling, add_expanded, expand_table, fit_gradient, fit_table, front, spans

NAME = "dense"

PRICES: Prices = {
    "queries": (1.1e-11, 2.7e-11), "values": (1e-11, 2.2e-11), "scores": (3.7e-10, 1e-09),
    "table": (1.3e-09, 4.1e-09), "rows": (5.6e-06, 8.9e-06), "read": (1.2e-10, 4.4e-10),
    "columns": (7.4e-06, 1.2e-05), "moved": (3.9e-10, 9.5e-10), "setup": (7.6e-05, 0.00018),
}  # fmt: skip
"""Of a multiply-add of Q with E, one of S with V, a score, a number of the expanded table; of a query row, a number of
E that its product reads, a column, a number of the maps and a call."""
BLOCK_NUMBERS = 2**19
"""Numbers of S at most, unless one row of one image alone has more: images are taken in groups, rows in blocks."""


def why_not(problem: Problem) -> str | None:
    """None: able for every map and every table."""
    return None


def work(problem: Problem) -> Work:
    """How much of each kind the forward pass does; every query row is a step for all images of a group."""
    p, size = problem, _plane(problem)
    scores = p.b * p.h * p.n * p.m * p.u
    images, _ = _block(p.b, size[-2], size[-1] * p.h * p.m * p.u)
    rows = p.n // size[-1] * -(-p.b // images)
    table = p.n // size[-2] * p.k * (2 * size[-2] - 1) * p.u * p.m // size[-2]
    return {
        "queries": scores * p.k, "values": scores * p.v, "scores": scores, "table": table, "rows": rows,
        "read": rows * size[-1] * p.k * p.m * p.u,
        "columns": p.n // size[-2], "moved": p.b * p.n * (p.h * p.k + p.u * p.v + p.h * p.v), "setup": 1,
    }  # fmt: skip


def cost(problem: Problem, backward: bool) -> Cost:
    """b·h·n·m·u·(k + v) multiply-adds; the scores of a block, and the expanded table, in memory."""
    p, size, done = problem, _plane(problem), work(problem)
    multiply_adds = round(3 * done["queries"] + 2 * done["values"] if backward else done["queries"] + done["values"])
    row = size[-1] * p.h * p.m * p.u
    images, rows = _block(p.b, size[-2], row)
    expanded = (3 if backward else 1) * size[-1] * p.k * (2 * size[-2] - 1) * p.u * p.m // size[-2]
    numbers = row * images * rows + expanded + 2 * p.b * p.m * p.u * p.v
    return Cost(multiply_adds, numbers * p.itemsize, predicted(p, NAME, done, PRICES, backward))


def _plane(problem: Problem) -> tuple[int, ...]:
    """The sides of the map, two at least."""
    return (1, *problem.query_size)[-max(2, len(problem.query_size)) :]


def forward(
    query: Float[Tensor, "b h k *N"], value: Float[Tensor, "b v u *N"], table: Float[Tensor, "k u *R"]
) -> Tensor:
    """The position output, (b, h, v, *N), its channels fastest in memory."""
    return forward_on_plane(_forward, None, query, value, table)


def _forward(query: Tensor, value: Tensor, table: Tensor) -> Tensor:
    walk = _Walk(query, value, table)
    values = value.movedim((2, 1), (-2, -1)).transpose(-3, -2).movedim(-4, 1)  # b y' *lead' u x' v
    values = values.reshape(value.shape[0], walk.m, value.shape[1])
    outputs = query.new_empty(query.shape[0], *query.shape[3:], query.shape[1], value.shape[1])
    for box in walk.tiling.boxes():
        tables = walk.by_row(expand_table(walk.table, walk.tiling, walk.tile, box))
        for images, block in itertools.product(walk.groups, walk.tiling.blocks):
            scores = walk.scores(walk.queries_of(images, box, block), tables[slice(*block)])
            out = outputs[images, *box.place, slice(*block)].flatten(1, 3)
            torch.bmm(_by_image(scores), values[images], out=out)
    return outputs.movedim((-2, -1), (1, 2))


def backward(
    grad: Float[Tensor, "b h v *N"],
    query: Float[Tensor, "b h k *N"],
    value: Float[Tensor, "b v u *N"],
    table: Float[Tensor, "k u *R"],
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of query, value and table; those not needed are None; in fp32 or wider."""
    return backward_on_plane(_backward, None, (grad, query, value, table), needs)


def _backward(
    grad: Tensor, query: Tensor, value: Tensor, table: Tensor, needs: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    wide = at_least_fp32(query.dtype)  # the sums want it, and the products are too small to gain from less
    walk = _Gradients(grad.to(wide), query.to(wide), value.to(wide), table.to(wide))
    for box in walk.tiling.boxes():
        walk.visit(box, needs)
    size, (b, v, u) = value.shape[3:], value.shape[:3]
    by_context = walk.d_values.view(b, size[-2], *size[:-2], u, size[-1], v)
    return (
        walk.d_queries.movedim((-2, -1), (1, 2)) if needs[0] else None,
        by_context.movedim(1, -4).movedim((-1, -3), (1, 2)) if needs[1] else None,
        fit_gradient(walk.d_table, table, size) if needs[2] else None,
    )


def _block(images: int, rows: int, numbers: int) -> tuple[int, int]:
    """How many images and query rows to take at a time, of so many scores a row of an image."""
    images = min(images, max(1, BLOCK_NUMBERS // numbers))
    return images, min(rows, max(1, BLOCK_NUMBERS // (numbers * images)))


class _Walk:
    """Layouts, and the scores of a block of query rows of a group of images."""

    def __init__(self, query: Tensor, value: Tensor, table: Tensor):
        b, h, _, *size = query.shape
        self.m = value.shape[2:].numel()
        row = size[-1] * h * self.m
        group, rows = _block(b, size[-2], row)
        self.groups = [slice(*images) for images in spans(b, group)]
        self.tiling = Tiling(tuple(size), tuple(side - 1 for side in size), tile=size[-1], block=rows)
        self.tile = (0, size[-1])
        self.table = fit_table(table, size, self.tiling.reach)
        self.queries = query.movedim((1, 0, 2), (-3, -2, -1)).contiguous()  # *lead y x h b k
        self.buffer = query.new_empty(rows * row * group)

    def queries_of(self, images: slice, box: Box, block: Span) -> Tensor:
        """Q as (y, x, h, b, k)."""
        return self.queries[*box.place, slice(*block)][..., images, :]

    def by_row(self, expanded: Tensor) -> list[Tensor]:
        """E[x, k, m] of every query row y: the offsets of an expanded table that all of the map's rows have from y."""
        height = self.tiling.size[-2]
        return list(expanded.flatten(2).unfold(2, self.m, self.m // height).unbind(2))[::-1]

    def scores(self, queries: Tensor, tables: list[Tensor]) -> Tensor:
        """S as (y, x, h, b, m) of queries (y, x, h, b, k), in the buffer."""
        scores = front(self.buffer, *queries.shape[:-1], self.m)
        for row, query, table in zip(scores.flatten(2, 3), queries.flatten(2, 3), tables, strict=True):
            torch.bmm(query, table, out=row)
        return scores


class _Gradients(_Walk):
    """The backward pass."""

    def __init__(self, grad: Tensor, query: Tensor, value: Tensor, table: Tensor):
        super().__init__(query, value, table)
        self.grads = grad.movedim((1, 2), (-2, -1)).contiguous()  # b *lead y x h v
        values = value.movedim(2, -2).movedim(-3, 2)  # b v y' *lead' u x'
        self.values = values.reshape(*value.shape[:2], self.m)
        self.d_queries = query.new_empty(query.shape[0], *query.shape[3:], *query.shape[1:3])
        self.d_values = query.new_zeros(value.shape[0], self.m, value.shape[1])
        self.d_table = torch.zeros_like(self.table)

    def visit(self, box: Box, needs: tuple[bool, bool, bool]) -> None:
        """What the queries of one box add to the gradients."""
        expanded = expand_table(self.table, self.tiling, self.tile, box)
        d_expanded = torch.zeros_like(expanded)
        tables, d_tables = self.by_row(expanded), self.by_row(d_expanded)
        transposed = self.by_row(expanded.flatten(2).mT.contiguous().mT) if needs[0] else tables
        for images, block in itertools.product(self.groups, self.tiling.blocks):
            rows, queries = slice(*block), self.queries_of(images, box, block)
            place = images, *box.place, rows
            grads = self.grads[place].flatten(1, 3)
            if needs[1]:
                scores = _by_image(self.scores(queries, tables[rows]))
                self.d_values[images].baddbmm_(scores.mT, grads)
            if not (needs[0] or needs[2]):
                continue
            d_scores = self._d_scores(grads, self.values[images], queries.shape).flatten(2, 3)
            if needs[0]:
                d_queries = torch.empty_like(queries, memory_format=torch.contiguous_format)
                for d_query, d_row, table in zip(d_queries.flatten(2, 3), d_scores, transposed[rows], strict=True):
                    torch.bmm(d_row, table.mT, out=d_query)
                self.d_queries[place].copy_(d_queries.movedim(3, 0))
            if needs[2]:
                for d_table, query, d_row in zip(d_tables[rows], queries.flatten(2, 3).mT, d_scores, strict=True):
                    d_table += torch.bmm(query, d_row)  # a product into such rows would be one call a matrix
        if needs[2]:
            add_expanded(self.d_table, d_expanded, self.tiling, self.tile, box)

    def _d_scores(self, grads: Tensor, values: Tensor, queries: torch.Size) -> Tensor:
        """DS as (y, x, h, b, m), in the buffer."""
        d_scores = front(self.buffer, *queries[:-1], self.m)
        torch.bmm(grads, values, out=_by_image(d_scores))
        return d_scores


def _by_image(scores: Tensor) -> Tensor:
    """S (y, x, h, b, m) as (b, (y, x, h), m), a view."""
    return scores.movedim(3, 0).flatten(1, 3)
