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

from lambdanets.ops.cost import Cost, Prices, Work, total
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
    "queries": (1.3e-11, 2.8e-11), "values": (1.3e-11, 2.7e-11), "scores": (3.6e-10, 1.5e-09),
    "rows": (2e-06, 7.4e-06), "blocks": (1.2e-05, 6.6e-06), "setup": (0.00023, 0.00064),
}  # fmt: skip
"""Of a multiply-add of q with T, one of S with V, a score, a query row, a block of rows and a call."""


def why_not(problem: Problem) -> str | None:
    """None: able for every map and every table."""
    return None


def work(problem: Problem) -> Work:
    """How much of each kind the forward pass does."""
    p, tiling = problem, _tiling_of(problem)
    per_offset = p.b * p.h * p.u * math.prod(tiling.size) * tiling.mean_row_length
    scores, visits = per_offset * tiling.mean_row_offsets, p.b * len(tiling.tiles) * math.prod(tiling.size[:-2])
    return {
        "queries": scores * p.k,
        "values": per_offset * tiling.mean_rows_seen * p.v,
        "scores": scores,
        "rows": visits * tiling.size[-2],
        "blocks": visits * len(tiling.blocks),
        "setup": 1,
    }


def cost(problem: Problem, backward: bool) -> Cost:
    """b·h·n·m'·u·(k + v) multiply-adds, m' the context rows and columns that a block reaches; P and T in memory."""
    p, tiling, done, passes = problem, _tiling_of(problem), work(problem), 2 if backward else 1
    block = tiling.most_positions * p.h * tiling.most_row_offsets
    expanded = tiling.most_columns * p.k * tiling.all_row_offsets
    numbers = tiling.most_row_length * p.u * (passes * (block + tiling.size[-2] * p.v) + (2 * passes - 1) * expanded)
    multiply_adds = round((2 * passes - 1) * done["queries"] + passes * done["values"])
    return Cost(multiply_adds, numbers * p.itemsize, total(done, PRICES, backward))


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
