"""Queries first: contract q with R, then with V. Attention's order, without a softmax and without storing scores.

    S[b, h, n, m] = Σ_{k,u} q[b, h, k, n] R[k, u, m − n]        y[b, h, v, n] = Σ_m S[b, h, n, m] V[b, v, m]

h·(k + v) multiply-adds a pair of positions where lambdas cost k·v. All large products are plain GEMMs on views:

- for a tile of columns the table is expanded along x (`tiles`), so the product of q with every row offset,
  P[x, (h, y), (y' − y, x')] = q · T, is one batched GEMM;
- the scores of one query row are a slice of P whose rows (x, h) have a single stride: S · V needs no copy.

A block is some query rows of one tile of one image; P of one block is the only large buffer. The backward pass
recomputes P, keeps dP in the same form, and computes in fp32 or wider:

    dP = dy · Vᵀ        dV = Pᵀ · dy        dq = dP · Tᵀ        dT = qᵀ · dP, gathered into dR
"""

import itertools
import math

from jaxtyping import Float
from torch import Tensor

from lambdanets.ops.cost import Cost, Prices, Work, predicted
from lambdanets.ops.impl.scores.gradients import Backward
from lambdanets.ops.impl.scores.output import Forward
from lambdanets.ops.impl.scores.walk import choose_tiling
from lambdanets.ops.line import backward_on_plane, folded_sides, forward_on_plane
from lambdanets.ops.problem import Problem
from lambdanets.ops.tiles import Tiling, fit_gradient

NAME = "scores"

LINE = 32
"""Columns that a map of one axis is folded into."""
PRICES: Prices = {
    "queries": (9.6e-12, 2.3e-11), "values": (1.1e-11, 2.1e-11), "scores": (3.5e-10, 1.2e-09),
    "table": (1.4e-09, 6e-09), "context": (8.2e-12, 2.4e-09), "moved": (1.8e-10, 1e-09), "rows": (1.4e-06, 3e-06),
    "blocks": (8e-06, 1.6e-05), "views": (4.8e-06, 2.6e-05), "columns": (6.4e-06, 1.9e-05),
    "setup": (0.00012, 0.00019),
}  # fmt: skip
"""Of a multiply-add of q with T, one of S with V, a score; of a number of T, of the context of a tile and of the maps;
of a query row, a block of rows, a row of which views are made, a column of T and a call."""


def why_not(problem: Problem) -> str | None:
    """None: able for every map and every table."""
    return None


def work(problem: Problem) -> Work:
    """How much of each kind the forward pass does."""
    p, tiling = problem, _tiling_of(problem)
    per_offset = p.b * p.h * p.u * math.prod(tiling.size) * tiling.mean_row_length
    scores, boxes = per_offset * tiling.mean_row_offsets, math.prod(tiling.size[:-2])
    visits, widths = p.b * len(tiling.tiles) * boxes, {(t[1] - t[0], *tiling.context(t)) for t in tiling.tiles}
    return {
        "queries": scores * p.k,
        "values": per_offset * tiling.mean_rows_seen * p.v,
        "scores": scores,
        "table": tiling.expanded * p.k * p.u,
        "context": p.b * len(tiling.tiles) * tiling.size[-2] * boxes * tiling.mean_row_length * p.u * p.v,
        "moved": p.b * p.n * (p.h * p.k + p.u * p.v + p.h * p.v),
        "rows": visits * tiling.size[-2],
        "blocks": visits * len(tiling.blocks),
        "views": len({(width, high - low) for width, low, high in widths}) * tiling.size[-2],
        "columns": boxes * tiling.size[-1],
        "setup": 1,
    }


def cost(problem: Problem, backward: bool) -> Cost:
    """b·h·n·m'·u·(k + v) multiply-adds, m' the context rows and columns that a block reaches; P and T in memory."""
    p, tiling, done, passes = problem, _tiling_of(problem), work(problem), 2 if backward else 1
    block = tiling.most_positions * p.h * tiling.most_row_offsets
    expanded = tiling.most_columns * p.k * tiling.all_row_offsets
    numbers = tiling.most_row_length * p.u * (passes * (block + tiling.size[-2] * p.v) + (2 * passes - 1) * expanded)
    multiply_adds = round((2 * passes - 1) * done["queries"] + passes * done["values"])
    return Cost(multiply_adds, numbers * p.itemsize, predicted(p, NAME, done, PRICES, backward))


def _tiling_of(p: Problem) -> Tiling:
    size, sides = p.query_size, p.scope or (1,) * len(p.query_size)
    if len(size) == 1:
        size, sides = folded_sides(size[0], sides[0], LINE)
    return choose_tiling(size, sides, p.h, p.u, p.dtype)


def forward(
    query: Float[Tensor, "b h k *N"], value: Float[Tensor, "b v u *N"], table: Float[Tensor, "k u *R"]
) -> Tensor:
    """The position output, (b, h, v, *N), its channels fastest in memory."""
    return forward_on_plane(_forward, LINE, query, value, table)


def _forward(query: Tensor, value: Tensor, table: Tensor) -> Tensor:
    walk = Forward(query, value, table)
    for tile, box in itertools.product(walk.tiling.tiles, walk.tiling.boxes()):
        walk.visit(tile, box)
    return walk.outputs.movedim((-2, -1), (1, 2))


def backward(
    grad: Float[Tensor, "b h v *N"],
    query: Float[Tensor, "b h k *N"],
    value: Float[Tensor, "b v u *N"],
    table: Float[Tensor, "k u *R"],
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of query, value and table; those not needed are None; in fp32 or wider."""
    return backward_on_plane(_backward, LINE, (grad, query, value, table), needs)


def _backward(
    grad: Tensor, query: Tensor, value: Tensor, table: Tensor, needs: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    walk = Backward(grad, query, value, table, needs)
    for tile, box in itertools.product(walk.tiling.tiles, walk.tiling.boxes()):
        walk.visit(tile, box)
    return (
        walk.d_queries.movedim((-2, -1), (1, 2)) if needs[0] else None,
        walk.d_values.movedim((-1, -2), (1, 2)) if needs[1] else None,
        fit_gradient(walk.d_table, table, walk.tiling.size) if needs[2] else None,
    )
