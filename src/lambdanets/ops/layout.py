"""How maps lie in memory: contiguous, or with their channels varying fastest (PyTorch's channels_last).

Every contraction order works on maps with channels fastest; what comes back lies as what came in.
"""

from typing import Any

import torch
from torch import Tensor
from torch.jit._trace import is_tracing

CHANNEL_AXES = (1, 2)
"""Query, value and output have two channel axes, (h, k), (v, u) and (h, v), before their map axes."""

BLOCKED = 2**15
"""From so many numbers an image on, PyTorch's blocked transpose of a matrix beats its general copy, up to 7 ×."""


def is_channels_last(tensor: Tensor) -> bool:
    """Whether a (b, c1, c2, *N) tensor is dense with its channel axes varying fastest, and not contiguous."""
    return tensor.movedim(CHANNEL_AXES, (-2, -1)).is_contiguous() and not tensor.is_contiguous()


def in_layout(tensor: Tensor, channels_last: bool) -> Tensor:
    """The (b, c1, c2, *N) tensor, dense in memory: contiguous, or with its channel axes varying fastest."""
    last = tensor.movedim(CHANNEL_AXES, (-2, -1))
    if channels_last:
        if not last.is_contiguous() and tensor.is_contiguous():
            last = turned(tensor.flatten(3).flatten(1, 2)).view(last.shape)
        return _canonical(last.contiguous()).movedim((-2, -1), CHANNEL_AXES)
    if not tensor.is_contiguous() and last.is_contiguous():
        return turned(last.flatten(-2).flatten(1, -2)).view(tensor.shape)
    return tensor.contiguous()


def _canonical(tensor: Tensor) -> Tensor:
    """The contiguous tensor, strides of axes of one as any others: BatchNorm and pools look at the batch's."""
    return tensor.flatten().view(tensor.shape)


def by_position(maps: Tensor) -> Tensor:
    """(b, h, c, *N) as rows (b, n·h, c): a view where the channels vary fastest."""
    return maps.movedim(CHANNEL_AXES, (-2, -1)).flatten(1, -2)


def as_maps(rows: Tensor, query: Tensor) -> Tensor:
    """Rows (b, n·h, c) as (b, h, c, *N), a view, for a query (b, h, k, *N)."""
    return rows.unflatten(1, (*query.shape[3:], query.shape[1])).movedim((-2, -1), CHANNEL_AXES)


def turned(maps: Tensor) -> Tensor:
    """(b, i, j) as a dense (b, j, i)."""
    if sizes_are_free() or maps[0].numel() < BLOCKED:
        return maps.mT.contiguous()
    return recorded(_Turned, maps)


def sizes_are_free() -> bool:
    """Whether the code is being compiled or traced: a look at a size would fix it there."""
    return torch.compiler.is_compiling() or is_tracing()


def recorded(function: type[torch.autograd.Function], *inputs: Tensor) -> Any:
    """The function of the inputs, recorded for the backward pass where there may be one.

    `apply` looks up its own signature at every call, a tenth of a millisecond.
    """
    return function.apply(*inputs) if torch.is_grad_enabled() else function.forward(*inputs)


class _Turned(torch.autograd.Function):
    """The transpose of each matrix of a batch, copied in blocks."""

    generate_vmap_rule = True

    @staticmethod
    def forward(maps: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The transposes, dense."""
        result = maps.new_empty(maps.shape[0], maps.shape[2], maps.shape[1])
        for target, source in zip(result, maps, strict=True):
            target.copy_(source.t())
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Nothing to remember."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The transposes again."""
        return turned(grad)


class Aligned(torch.autograd.Function):
    """The identity, whose gradient comes back dense in the layout of the input.

    PyTorch's BatchNorm on CPU returns wrong gradients, silently, at batch 1 when the incoming gradient is strided like
    a transposed tensor (seen in 2.13 and 2.15).
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(tensor: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The tensor itself."""
        return tensor.view_as(tensor)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Remember the layout."""
        ctx.channels_last = is_channels_last(inputs[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The gradient, rearranged in memory if need be."""
        return in_layout(grad, ctx.channels_last)
