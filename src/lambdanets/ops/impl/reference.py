"""The paper's einsum, word for word: it defines truth and is never fast.

    λᶜ_n = Σ_{m,u} K̄_{nmku} V_{mvu}      K̄ = softmax of K over the positions m that n sees
    λᵖ_n = Σ_{m,u} P_{nm} E_{nmku} V_{mvu}      E_{nm} = R[m − n], zero outside the table
    y_n  = (λᶜ_n + λᵖ_n)ᵀ q_n      for each of the h queries of position n

Everything of size n × m is formed: b·n·m·k·u numbers for the content part, k·u·n·m for the embeddings.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lambdanets.ops.cost import Cost
from lambdanets.ops.precision import at_least_fp32
from lambdanets.ops.problem import NormalizeKeys, Problem

NAME = "reference"

SECONDS = 1.5e-10
"""Of a multiply-add."""


def why_not(problem: Problem) -> str | None:
    """Always None: the reference is able for every problem."""
    return None


def cost(problem: Problem, backward: bool) -> Cost:
    """Multiply-adds of the lambdas for every pair of positions, then of their application."""
    p = problem
    multiply_adds = p.b * p.n * p.m * p.k * p.u * p.v + p.b * p.n * p.h * p.k * p.v
    pairs = p.k * p.u * p.n * p.m * (p.b if p.pair_mask == "explicit" or p.pair_mask == "causal" else 1)
    numbers = pairs + p.b * p.n * p.k * p.v
    multiply_adds *= 3 if backward else 1
    return Cost(multiply_adds, numbers * p.itemsize, {"multiply-adds": multiply_adds * SECONDS})


def apply(
    query: Float[Tensor, "b h k *N"],
    key: Float[Tensor, "b k u *M"] | None,
    value: Float[Tensor, "b v u *M"],
    table: Float[Tensor, "k u *R"] | None,
    visible: Bool[Tensor, "#b #n m"],
    normalize_keys: NormalizeKeys = "softmax",
) -> Tensor:
    """(λᶜ_n + λᵖ_n)ᵀ q_n of shape (b, h, v, *N); `visible` says which context positions each query sees."""
    q, values = query.flatten(3), value.flatten(3)
    weights = visible[:, :, None, None, :].to(value.dtype)
    # A position nobody sees may hold anything, NaN too.
    values = values.masked_fill(~visible.any(1)[:, None, None], 0)
    lambdas = torch.zeros((), dtype=value.dtype, device=value.device)
    if key is not None:
        keys = _normalize(key.flatten(3), visible, normalize_keys).to(value.dtype)
        lambdas = lambdas + torch.einsum("bnkum,bvum->bnkv", keys, values)
    if table is not None:
        embeddings = _embeddings(table.to(value.dtype), tuple(value.shape[3:]))
        if weights.shape[1] == 1:  # every query sees the same positions, and the hidden values are zero already
            lambdas = lambdas + torch.einsum("nkum,bvum->bnkv", embeddings, values)
        else:
            lambdas = lambdas + torch.einsum("bnkum,bvum->bnkv", weights * embeddings, values)
    lambdas = lambdas.expand(q.shape[0], q.shape[3], -1, -1)
    return torch.einsum("bhkn,bnkv->bhvn", q, lambdas).unflatten(3, query.shape[3:])


def _normalize(key: Tensor, visible: Tensor, how: NormalizeKeys) -> Tensor:
    """Keys (b, k, u, m) normalised over the positions each query sees: (b, n or 1, k, u, m), fp32 or wider."""
    keys = key.to(at_least_fp32(key.dtype))[:, None]
    seen = visible[:, :, None, None, :]
    if how == "none":
        return keys.masked_fill(~seen, 0)
    if how == "l2":
        return torch.nn.functional.normalize(keys.masked_fill(~seen, 0), dim=-1)
    # The most negative number in place of −∞: a query that sees nothing gets zeros and no NaN.
    hidden = torch.finfo(keys.dtype).min
    return torch.softmax(keys.masked_fill(~seen, hidden), dim=-1).masked_fill(~seen, 0)


def _embeddings(table: Tensor, size: tuple[int, ...]) -> Tensor:
    """E[n, k, u, m] = R[k, u, m − n] by looking every pair up, zero outside the table."""
    inside = torch.ones((), dtype=torch.bool, device=table.device)
    index = torch.zeros((), dtype=torch.long, device=table.device)
    for axis, (side, r) in enumerate(zip(size, table.shape[2:], strict=True)):
        positions = torch.arange(side, device=table.device)
        entry = positions[None, :] - positions[:, None] + (r - 1) // 2
        shape = [1] * (2 * len(size))
        shape[axis] = shape[axis + len(size)] = side
        inside = inside & ((entry >= 0) & (entry < r)).reshape(shape)
        index = index * r + entry.clamp(0, r - 1).reshape(shape)
    n = index.numel() ** 0.5
    pairs = table.flatten(2)[:, :, index.flatten()].masked_fill(~inside.flatten(), 0)
    return pairs.unflatten(2, (round(n), round(n))).permute(2, 0, 1, 3)
