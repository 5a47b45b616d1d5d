"""One matrix product: E laid out as (n·k) × (m·u), times the values as (m·u) × (b·v) columns.

    λᵖ[n, k, b, v] = Σ_{m,u} E[n, k, m, u] V[m, u, b, v]      y[b, h, v, n] = Σ_k q[b, h, k, n] λᵖ[n, k, b, v]

Right for small maps, where the product is large and E is small; E costs k·u·n·m numbers.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lambdanets.ops.cost import Cost
from lambdanets.ops.offsets import full_table, toeplitz, uncrop_table
from lambdanets.ops.problem import Problem

NAME = "dense"


def why_not(problem: Problem) -> str | None:
    """None: able for every map and every table."""
    return None


def cost(problem: Problem, backward: bool) -> Cost:
    """b·n·m·k·u·v + b·n·h·k·v multiply-adds; E and the lambdas in memory."""
    p = problem
    lambdas = p.b * p.n * p.m * p.k * p.u * p.v
    apply = p.b * p.n * p.h * p.k * p.v
    numbers = 2 * p.k * p.u * p.n * p.m + (2 if backward else 1) * p.b * p.n * p.k * p.v
    return Cost(3 * lambdas + 2 * apply if backward else lambdas + apply, numbers * p.itemsize, efficiency=0.6)


def forward(
    query: Float[Tensor, "b h k *N"], value: Float[Tensor, "b v u *N"], table: Float[Tensor, "k u *R"]
) -> Tensor:
    """The position output, (b, h, v, *N)."""
    lambdas = _lambdas(value, _embeddings(table, value))
    return torch.einsum("bhkn,nkbv->bhvn", query.flatten(3), lambdas).unflatten(3, query.shape[3:])


def backward(
    grad: Float[Tensor, "b h v *N"],
    query: Float[Tensor, "b h k *N"],
    value: Float[Tensor, "b v u *N"],
    table: Float[Tensor, "k u *R"],
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of query, value and table; those not needed are None."""
    size, dy, q = value.shape[3:], grad.flatten(3), query.flatten(3)
    embeddings = _embeddings(table, value)
    d_query = d_value = d_table = None
    if needs[0]:
        d_query = torch.einsum("bhvn,nkbv->bhkn", dy, _lambdas(value, embeddings)).unflatten(3, size)
    if needs[1] or needs[2]:
        d_lambdas = torch.einsum("bhkn,bhvn->nkbv", q, dy).flatten(2).flatten(0, 1)
        if needs[1]:
            columns = embeddings.T @ d_lambdas
            d_value = columns.reshape(-1, value.shape[2], *value.shape[:2]).permute(2, 3, 1, 0).unflatten(3, size)
        if needs[2]:
            d_table = _table_gradient(d_lambdas @ _columns(value).T, table, value)
    return d_query, d_value, d_table


def _embeddings(table: Tensor, value: Tensor) -> Tensor:
    """E as an (n·k, m·u) matrix."""
    n = value.shape[3:].numel()
    pairs = toeplitz(table, value.shape[3:]).reshape(*table.shape[:2], n, n)
    return pairs.permute(2, 0, 3, 1).reshape(n * table.shape[0], n * table.shape[1])


def _columns(value: Tensor) -> Tensor:
    """V as an (m·u, b·v) matrix."""
    return value.flatten(3).permute(3, 2, 0, 1).flatten(2).flatten(0, 1)


def _lambdas(value: Tensor, embeddings: Tensor) -> Tensor:
    """λᵖ of shape (n, k, b, v)."""
    b, v = value.shape[:2]
    return (embeddings @ _columns(value)).reshape(value.shape[3:].numel(), -1, b, v)


def _table_gradient(d_embeddings: Tensor, table: Tensor, value: Tensor) -> Tensor:
    """The gradient of R from that of E: each table entry gathers the gradients of all the pairs that read it."""
    (k, u), size, n = table.shape[:2], value.shape[3:], value.shape[3:].numel()
    offsets = torch.arange(full_table(table[:1, :1], size).numel(), device=table.device)
    read = offsets.reshape(1, 1, *(2 * side - 1 for side in size))
    for axis, side in enumerate(size, start=2):
        read = read.unfold(axis, side, 1)
    entries = read.flip(tuple(range(2, 2 + len(size)))).flatten()
    pairs = d_embeddings.reshape(n, k, n, u).permute(1, 3, 0, 2).reshape(k, u, n * n)
    full = pairs.new_zeros(k, u, offsets.numel()).index_add_(2, entries, pairs)
    return uncrop_table(_crop_to(full.unflatten(2, tuple(2 * side - 1 for side in size)), table), table.shape[2:])


def _crop_to(full: Tensor, table: Tensor) -> Tensor:
    """The centre of the full table that the given one covers."""
    for axis in range(2, full.ndim):
        surplus = max(0, (full.shape[axis] - table.shape[axis]) // 2)
        full = full.narrow(axis, surplus, full.shape[axis] - 2 * surplus)
    return full
