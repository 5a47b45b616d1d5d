"""Causal maps of one axis: position n sees the context positions m ≤ n. Linear in n, in time and memory.

The position part of a causal problem is that of a table without its entries for m − n > 0. The content part has one
lambda a query, λᶜ_n = Σ_{m≤n,u} softmax_{m≤n}(K)_{mku} V_{mvu}, and is computed block by block: inside a block pair by
pair, before it from the sum S and the normaliser D carried along,

    y_n = Σ_{k,u} q_{nk} (e^{s − M_n} S_{kuv} + Σ_{m≤n in block} e^{K_m − M_n} V_{mvu}) / D_n

with M_n the running maximum of K up to n, for each key channel: one global maximum would turn a rising key's first
terms into 0 / 0. Blocks are recomputed in the backward pass; only S, D and s of each are kept.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lambdanets.ops.precision import at_least_fp32, own_precision

BLOCK = 64
"""Positions a block: b·k·u·64² numbers live at once, b·k·u·v are kept for every 64 positions."""


class Carry(NamedTuple):
    """What a block needs to know of all the positions before it."""

    total: Tensor
    """S = Σ e^{K_m − s} V_m, (b, k, u, v)."""
    weight: Tensor
    """D = Σ e^{K_m − s}, (b, k, u)."""
    highest: Tensor
    """The maximum s of K, (b, k, u), a constant to gradients: y does not depend on it."""


def causal_table(table: Float[Tensor, "k u r"]) -> Float[Tensor, "k u r"]:
    """The table without its entries for positions to come, m − n > 0."""
    past = table.shape[2] // 2 + 1
    return F.pad(table[:, :, :past], (0, table.shape[2] - past))


def causal_content(
    query: Float[Tensor, "b h k n"],
    key: Float[Tensor, "b k u n"],
    value: Float[Tensor, "b v u n"],
    context_mask: Bool[Tensor, "b n"] | None = None,
) -> Float[Tensor, "b h v n"]:
    """The content part of a causal problem; a query that sees nothing gets zeros."""
    wide = at_least_fp32(key.dtype)
    lowest = torch.finfo(wide).min
    keys, values = key.to(wide), value.to(at_least_fp32(value.dtype))
    if context_mask is not None:
        hidden = ~context_mask[:, None, None]
        keys, values = keys.masked_fill(hidden, lowest), values.masked_fill(hidden, 0)
    b, k, u, _ = key.shape
    carry = Carry(keys.new_zeros(b, k, u, value.shape[1]), keys.new_zeros(b, k, u), keys.new_full((b, k, u), lowest))
    outputs = []
    with own_precision(query.device.type):
        for q, ks, vs in zip(*(t.split(BLOCK, dim=-1) for t in (query.to(wide), keys, values)), strict=True):
            output, *state = checkpoint(_block, q, ks, vs, *carry, use_reentrant=False, preserve_rng_state=False)
            carry = Carry(*state)
            outputs.append(output)
    return torch.cat(outputs, dim=-1).to(query.dtype)


def _block(
    query: Tensor, keys: Tensor, values: Tensor, total: Tensor, weight: Tensor, highest: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The outputs (b, h, v, c) of one block of c positions, and the carry to the next."""
    seen = keys > torch.finfo(keys.dtype).min
    running = torch.maximum(keys.detach().cummax(dim=-1).values, highest[..., None])
    past = torch.exp(highest[..., None] - running)
    c = keys.shape[-1]
    visible = seen[..., None, :] & torch.ones(c, c, dtype=torch.bool, device=keys.device).tril()
    # Hidden differences are set before the exponential: e^{K_m − M_n} of a later, larger key would overflow.
    pairs = torch.exp((keys[..., None, :] - running[..., None]).masked_fill(~visible, -torch.inf))
    normaliser = past * weight[..., None] + pairs.sum(-1)
    inverse = torch.where(normaliser > 0, 1 / normaliser.masked_fill(normaliser == 0, 1), 0)
    inside = torch.einsum("bhkn,bkun,bkunm->bhunm", query, inverse, pairs)
    output = torch.einsum("bhunm,bvum->bhvn", inside, values)
    output = output + torch.einsum("bhkn,bkun,bkuv->bhvn", query, inverse * past, total)
    last, kept = pairs[..., -1, :], past[..., -1]
    total = total * kept[..., None] + torch.einsum("bkum,bvum->bkuv", last, values)
    return output, total, weight * kept + last.sum(-1), running[..., -1]
