"""Whole rows of E: every image at once, the queries of one row y against all positions m.

    S[x, (b, h), m] = Σ_k q[x, (b, h), k] E[x, k, m]        y[b, (x, h), v] = Σ_m S[b, (x, h), m] V[b, m, v]

Both are batched matrix products, over x and over b; between them one copy turns S around. E[x, k, m] of a row y is a
slice of the table expanded along x (`tiles`), so E is never laid out as a whole. Right for small maps that see (nearly)
all of themselves, where other orders drown in small products. The backward pass recomputes S a row at a time:

    dV = Sᵀ · dy        dS = dy · Vᵀ        dq = dS · Eᵀ        dE = qᵀ · dS, gathered into dR
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from lambdanets.ops.cost import GEMM_RATE, Cost
from lambdanets.ops.precision import at_least_fp32
from lambdanets.ops.problem import Problem
from lambdanets.ops.tiles import Box, Tiling, add_expanded, expand_table, fit_gradient, fit_table, front, spans

NAME = "dense"

SECONDS = {False: (1 / 25e9, 18e-6), True: (1 / 27e9, 18e-6)}
"""Of a multiply-add and a call: fitted to five maps of up to 20 × 20 within 20 %; of the backward pass if True."""
GROUP_NUMBERS = 2**20
"""Numbers of S at most, unless one image alone has more: images are taken in groups."""


def why_not(problem: Problem) -> str | None:
    """None: able for every map and every table."""
    return None


def cost(problem: Problem, backward: bool) -> Cost:
    """b·h·n·m·u·(k + v) multiply-adds; twice the scores of a row, and the expanded table, in memory."""
    p, size = problem, (1, *problem.query_size)[-max(2, len(problem.query_size)) :]
    multiply_adds = p.b * p.h * p.n * p.m * p.u * (3 * p.k + 2 * p.v if backward else p.k + p.v)
    row = size[-1] * p.h * p.m * p.u
    scores = 2 * row * min(p.b, max(1, GROUP_NUMBERS // row))
    expanded = (3 if backward else 1) * size[-1] * p.k * (2 * size[-2] - 1) * p.u * p.m // size[-2]
    values = 2 * p.b * p.m * p.u * p.v
    calls = (12 if backward else 6) * p.n // size[-1]
    seconds = multiply_adds * SECONDS[backward][0] + calls * SECONDS[backward][1]
    if scores + expanded > 2**21:
        seconds *= 1.5  # out of the caches
    return Cost(multiply_adds, (scores + expanded + values) * p.itemsize, multiply_adds / seconds / GEMM_RATE)


def forward(
    query: Float[Tensor, "b h k *N"], value: Float[Tensor, "b v u *N"], table: Float[Tensor, "k u *R"]
) -> Tensor:
    """The position output, (b, h, v, *N), its channels fastest in memory."""
    if query.ndim == 4:
        return _forward(query[..., None, :], value[..., None, :], table[..., None, :])[..., 0, :]
    return _forward(query, value, table)


def _forward(query: Tensor, value: Tensor, table: Tensor) -> Tensor:
    rows = _Rows(query, value, table)
    values = value.movedim((2, 1), (-2, -1)).transpose(-3, -2).movedim(-4, 1)  # b y' *lead' u x' v
    values = values.reshape(value.shape[0], -1, value.shape[1])
    outputs = query.new_empty(query.shape[0], *query.shape[3:], query.shape[1], value.shape[1])
    for box in rows.tiling.boxes():
        expanded = expand_table(rows.table, rows.tiling, rows.tile, box).flatten(2)
        for images, y in itertools.product(rows.groups, range(query.shape[-2])):
            scores = rows.scores(rows.queries[*box.place, y][:, images], expanded[:, :, rows.offsets(y)])
            output = torch.bmm(scores.flatten(1, 2), values[images])
            outputs[images, *box.place, y].copy_(output.unflatten(1, scores.shape[1:3]))
    return outputs.movedim((-2, -1), (1, 2))


def backward(
    grad: Float[Tensor, "b h v *N"],
    query: Float[Tensor, "b h k *N"],
    value: Float[Tensor, "b v u *N"],
    table: Float[Tensor, "k u *R"],
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of query, value and table; those not needed are None; in fp32 or wider."""
    if query.ndim == 4:
        lines = [tensor[..., None, :] for tensor in (grad, query, value, table)]
        d_query, d_value, d_table = _backward(lines[0], lines[1], lines[2], lines[3], needs)
        return (
            None if d_query is None else d_query[..., 0, :],
            None if d_value is None else d_value[..., 0, :],
            None if d_table is None else d_table[..., 0, :],
        )
    return _backward(grad, query, value, table, needs)


def _backward(
    grad: Tensor, query: Tensor, value: Tensor, table: Tensor, needs: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    wide = at_least_fp32(query.dtype)  # the sums want it, and the products are too small to gain from less
    rows = _Gradients(grad.to(wide), query.to(wide), value.to(wide), table.to(wide))
    for box in rows.tiling.boxes():
        rows.visit(box, needs)
    size, (b, v, u) = value.shape[3:], value.shape[:3]
    by_context = rows.d_values.view(b, size[-2], *size[:-2], u, size[-1], v)
    return (
        rows.d_queries.movedim((-2, -1), (1, 2)) if needs[0] else None,
        by_context.movedim(1, -4).movedim((-1, -3), (1, 2)) if needs[1] else None,
        fit_gradient(rows.d_table, table, size) if needs[2] else None,
    )


class _Rows:
    """Layouts, and the scores of one query row of a group of images."""

    def __init__(self, query: Tensor, value: Tensor, table: Tensor):
        size = tuple(query.shape[3:])
        self.tiling = Tiling(size, tuple(side - 1 for side in size), tile=size[-1], block=size[-2])
        self.tile = (0, size[-1])
        self.table = fit_table(table, size, self.tiling.reach)
        self.queries = query.movedim((0, 1, 2), (-3, -2, -1)).contiguous()  # *lead y x b h k
        self.m = value.shape[2:].numel()
        row = size[-1] * query.shape[1] * self.m
        group = min(query.shape[0], max(1, GROUP_NUMBERS // row))
        self.groups = [slice(*images) for images in spans(query.shape[0], group)]
        self.by_column, self.by_image = query.new_empty(group * row), query.new_empty(group * row)

    def offsets(self, y: int) -> slice:
        """Where the context of row y lies among the row offsets of the expanded table: all of the map's rows."""
        height = self.tiling.size[-2]
        first = (height - 1 - y) * (self.m // height)
        return slice(first, first + self.m)

    def scores(self, queries: Tensor, table: Tensor) -> Tensor:
        """S as (b, x, h, m) of queries (x, b, h, k)."""
        x, b, h, _ = queries.shape
        by_column, by_image = front(self.by_column, x, b, h, self.m), front(self.by_image, b, x, h, self.m)
        torch.bmm(queries.flatten(1, 2), table, out=by_column.flatten(1, 2))
        return by_image.copy_(by_column.transpose(0, 1))


class _Gradients(_Rows):
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
        laid_out = expand_table(self.table, self.tiling, self.tile, box)
        expanded, d_expanded = laid_out.flatten(2), torch.zeros_like(laid_out)
        transposed = expanded.transpose(1, 2).contiguous() if needs[0] else expanded
        for images, y in itertools.product(self.groups, range(self.tiling.size[-2])):
            queries, place = self.queries[*box.place, y][:, images], (images, *box.place, y)
            offsets, grad = self.offsets(y), self.grads[place].flatten(1, 2)
            if needs[1]:
                scores = self.scores(queries, expanded[:, :, offsets]).flatten(1, 2)
                self.d_values[images].baddbmm_(scores.transpose(1, 2), grad)
            if not (needs[0] or needs[2]):
                continue
            d_scores = self._d_scores(grad, self.values[images], queries.shape)
            if needs[0]:
                d_query = torch.bmm(d_scores, transposed[:, offsets]).view(queries.shape)
                self.d_queries[place].copy_(d_query.transpose(0, 1))
            if needs[2]:
                d_expanded.flatten(2)[:, :, offsets].baddbmm_(queries.flatten(1, 2).transpose(1, 2), d_scores)
        if needs[2]:
            add_expanded(self.d_table, d_expanded, self.tiling, self.tile, box)

    def _d_scores(self, grad: Tensor, values: Tensor, queries: torch.Size) -> Tensor:
        """DS as (x, b·h, m)."""
        x, b, h, _ = queries
        by_image, by_column = front(self.by_image, b, x, h, self.m), front(self.by_column, x, b, h, self.m)
        torch.bmm(grad, values, out=by_image.flatten(1, 2))
        return by_column.copy_(by_image.transpose(0, 1)).flatten(1, 2)
