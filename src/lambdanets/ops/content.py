"""The content part: one lambda an image, λᶜ = Σ_{m,u} K̄_{mku} V_{mvu}, applied to every query.

b·m·k·u·v multiply-adds to build it, b·n·h·k·v to apply it; nothing of size n × m. Normalisation and the sum over
the context run in fp32 or wider: a key of a large map normalises to less than fp16 can hold.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lambdanets.ops.layout import by_position
from lambdanets.ops.precision import at_least_fp32, own_precision
from lambdanets.ops.problem import NormalizeKeys


def normalized_keys(
    key: Float[Tensor, "b k u *M"], context_mask: Bool[Tensor, "b *M"] | None, how: NormalizeKeys = "softmax"
) -> Float[Tensor, "b k u m"]:
    """K̄ of shape (b, k, u, m): keys normalised over the visible context positions, each (k, u) by itself."""
    keys = key.flatten(3).to(at_least_fp32(key.dtype))
    hidden = None if context_mask is None else ~context_mask.flatten(1)[:, None, None]
    if how == "softmax":
        if hidden is None:
            return torch.softmax(keys, dim=-1)
        # The most negative number in place of −∞: an image with nothing visible gets zeros and no NaN.
        lowest = torch.finfo(keys.dtype).min
        return torch.softmax(keys.masked_fill(hidden, lowest), dim=-1).masked_fill(hidden, 0)
    keys = keys if hidden is None else keys.masked_fill(hidden, 0)
    return F.normalize(keys, dim=-1) if how == "l2" else keys


def content_lambda(
    key: Float[Tensor, "b k u *M"],
    value: Float[Tensor, "b v u *M"],
    *,
    context_mask: Bool[Tensor, "b *M"] | None = None,
    normalize_keys: NormalizeKeys = "softmax",
) -> Float[Tensor, "b k v"]:
    """λᶜ of shape (b, k, v), in fp32 or wider: the linear function that the context offers to every query.

    Args:
        key: raw keys, (b, k, u, *M).
        value: values, (b, v, u, *M).
        context_mask: True = visible; an image with nothing visible gets zeros.
        normalize_keys: over the visible context positions: softmax, l2 (unit length) or none.

    Source: Bello 2021, section 3.1, "the content lambda".
    """
    with own_precision(value.device.type):
        keys = normalized_keys(key, context_mask, normalize_keys).flatten(2)
        if context_mask is not None:
            value = value.masked_fill(~context_mask[:, None, None], 0)
        values = value.flatten(2).to(keys.dtype)
        return keys @ values.mT


def apply_content(
    query: Float[Tensor, "b h k *N"], content: Float[Tensor, "b k v"], onto: Float[Tensor, "b nh v"] | None = None
) -> Float[Tensor, "b nh v"]:
    """λᶜᵀ q as rows (b, n·h, v), added in place to `onto` if given."""
    rows, lambdas = by_position(query), content.to(query.dtype)
    return torch.bmm(rows, lambdas) if onto is None else onto.baddbmm_(rows, lambdas)
