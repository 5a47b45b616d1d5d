"""Batch normalisation whose statistics ignore masked positions."""

from collections.abc import Callable
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lambdanets.ops.layout import in_layout
from lambdanets.ops.precision import at_least_fp32


def masked_batch_norm(norm: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
    """`norm(x)` for x (b, d, *N), its batch statistics taken over the positions where mask (b, *N) is True.

    Hidden positions are normalised by the same statistics; they may hold anything finite or not, and come out finite.
    In eval mode, and without a mask, this is `norm(x)` of the visible positions. With a mask the result's channels vary
    fastest in memory.
    """
    if mask is None:
        return _norm(norm, x)
    visible = x.masked_fill(~mask[:, None], 0)
    normed = normalize_by_batch(norm, visible, mask) if _looks_at_batch(norm) else _norm(norm, visible)
    return in_layout(normed[:, None], channels_last=True)[:, 0]


def normalize_by_batch(norm: _BatchNorm, x: Tensor, mask: Tensor | None) -> Tensor:
    """`norm(x)` by the statistics of the batch where mask (b, *N) is True, or of all of it; x is finite everywhere.

    A norm that has a method `sum_over_ranks` gets the sums of all processes through it.
    """
    total: Callable[[Tensor], Tensor] = getattr(norm, "sum_over_ranks", lambda sums: sums)
    wide = x.to(at_least_fp32(x.dtype))
    axes = [0, *range(2, x.ndim)]
    visible = wide.new_tensor([x.numel() // x.shape[1]]) if mask is None else mask.sum().to(wide.dtype)[None]
    count, sums = total(torch.cat([visible, wide.sum(axes)])).split([1, x.shape[1]])
    mean = sums / count.clamp(min=1)
    centred = wide - _per_channel(mean, x)
    if mask is not None:
        centred = centred.masked_fill(~mask[:, None], 0)
    variance = total(centred.square().sum(axes)) / count.clamp(min=1)
    _update_running(norm, mean, variance, count)
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    normed = centred * _per_channel(scale, x)
    return (normed if norm.bias is None else normed + _per_channel(norm.bias, x)).to(x.dtype)


def _looks_at_batch(norm: nn.Module) -> TypeGuard[_BatchNorm]:
    return isinstance(norm, _BatchNorm) and (norm.training or norm.running_mean is None)


def _norm(norm: nn.Module, x: Tensor) -> Tensor:
    """`norm(x)`; maps of one axis as (b·n, d), for which PyTorch has a fast kernel."""
    if x.ndim > 3 or not isinstance(norm, _BatchNorm):
        return norm(x)
    rows = x.mT
    return norm(rows.flatten(0, 1)).unflatten(0, rows.shape[:2]).mT


def _per_channel(vector: Tensor, x: Tensor) -> Tensor:
    return vector.reshape(1, -1, *[1] * (x.ndim - 2))


@torch.no_grad()
def _update_running(norm: _BatchNorm, mean: Tensor, variance: Tensor, count: Tensor) -> None:
    """Running statistics as `nn.BatchNorm` keeps them, with the unbiased variance."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    rate = norm.momentum if norm.momentum is not None else 1.0 / norm.num_batches_tracked
    unbiased = variance * (count / (count - 1).clamp(min=1))
    for running, new in ((norm.running_mean, mean), (norm.running_var, unbiased)):
        running.lerp_(torch.where(count > 0, new, running).to(running.dtype), rate)  # nothing at all teaches nothing
