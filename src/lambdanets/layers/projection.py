"""The projections of a lambda layer: 1 × 1 convolutions computed as matrix products, channels fastest in memory.

    Y[b, n, c] = Σ_d X[b, d, n] W[c, d]

The contraction orders want channels fastest, and BatchNorm is quickest there. PyTorch's own 1 × 1 convolution answers
in the layout it was given, and on small maps takes a loop over images, up to twice as slow as the product.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lambdanets.ops.layout import is_channels_last, recorded, sizes_are_free
from lambdanets.ops.precision import autocast_dtype

WIDE = 2**18
"""Numbers of an image from which, channels slowest, one product for all weights is worth taking apart again."""


class Projection(nn.Module):
    """Maps (b, dim, *N) to (b, dim_out, *N), a linear map of each position, without bias.

    Args:
        dim: d, channels of the input.
        dim_out: c, channels of the output.

    The weight is (dim_out, dim), drawn with standard deviation dim^-½.
    """

    def __init__(self, dim: int, dim_out: int):
        super().__init__()
        self.dim, self.dim_out = dim, dim_out
        self.weight = nn.Parameter(torch.empty(dim_out, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight anew."""
        nn.init.normal_(self.weight, std=self.dim**-0.5)

    def forward(self, x: Float[Tensor, "b d *N"]) -> Float[Tensor, "b c *N"]:
        """The projection of x."""
        return project(x, Affine(self.weight))[0]

    def extra_repr(self) -> str:
        """The sizes, for `print`."""
        return f"{self.dim}, {self.dim_out}"


class Affine(NamedTuple):
    """A linear map of each position, and what is added to it."""

    weight: Tensor
    """(c, d)."""
    shift: Tensor | None = None
    """(c,)."""


def with_norm(projection: Projection, norm: nn.Module) -> Affine | None:
    """A projection and the norm behind it as one map; None where the norm looks at the batch, or hooks at the norm."""
    if not isinstance(norm, _BatchNorm) or norm.training or norm._forward_hooks or norm._forward_pre_hooks:
        return None
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return None
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -mean * scale if norm.bias is None else norm.bias - mean * scale
    return Affine(projection.weight * scale[:, None], shift)


def project(x: Float[Tensor, "b d *N"], *maps: Affine) -> list[Float[Tensor, "b c *N"]]:
    """Several maps of the same x; channels fastest in memory whatever the layout of x, in the dtype of autocast."""
    dtype = autocast_dtype(x.device.type) or x.dtype
    rows = x.flatten(2).mT.to(dtype)
    if is_channels_last(x[:, None]):
        rows = rows.flatten(0, 1)[None]  # one large product
    products = recorded(_Products, rows, *(weight.to(dtype) for weight, _ in maps))
    return [
        _as_map(product if shift is None else product.add_(shift.to(dtype)), x)
        for product, (_, shift) in zip(products, maps, strict=True)
    ]


def _as_map(product: Tensor, x: Tensor) -> Tensor:
    """The map (b, c, *N) of a product; through one axis, so that a batch of one has the strides of any other."""
    return product.flatten().view(x.shape[0], *x.shape[2:], product.shape[-1]).movedim(-1, 1)


class _Products(torch.autograd.Function):
    """X · Wᵀ as (b, n, c), of X (b, n, d), often a transposed view, and every W (c, d).

    The gradient of X is one sum over the weights, and lies as X does: PyTorch's own would be dense as (b, n, d), and
    such strides of a view are what BatchNorm gets wrong at batch 1.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(rows: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A product a weight."""
        if len(weights) > 1 and not rows.is_contiguous() and not sizes_are_free() and rows[0].numel() >= WIDE:
            every = torch.bmm(rows, torch.cat(weights).mT.expand(rows.shape[0], -1, -1))
            return tuple(part.contiguous() for part in every.split([weight.shape[0] for weight in weights], -1))
        return tuple(torch.bmm(rows, weight.mT.expand(rows.shape[0], -1, -1)) for weight in weights)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the factors."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """DX = Σ dY · W and dW = Σ_b dYᵀ · X, the sum of dX over the weights."""
        rows, *weights = ctx.saved_tensors
        needs_rows, *needs = ctx.needs_input_grad
        every = torch.cat(grads, -1)  # one product in place of several that read, or add to, the whole of X
        d_rows = _like(rows, every, torch.cat(weights).expand(rows.shape[0], -1, -1)) if needs_rows else None
        if not any(needs):
            return d_rows, *[None] * len(weights)
        d_weights = torch.bmm(every.mT, rows).sum(0).split([weight.shape[0] for weight in weights])
        return d_rows, *(d if need else None for d, need in zip(d_weights, needs, strict=True))


def _like(rows: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Left · right, lying in memory as `rows`."""
    return torch.bmm(left, right) if rows.is_contiguous() else torch.bmm(right.mT, left.mT).mT
