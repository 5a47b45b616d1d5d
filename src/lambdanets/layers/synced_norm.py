"""BatchNorm whose batch is that of all processes together, on any device.

PyTorch's SyncBatchNorm refuses CPU tensors and knows no masks. Here count, sum and squares are summed over the
processes by an all-reduce that gradients pass through, and the rest is the arithmetic of `masked_norm`.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lambdanets.layers.masked_norm import normalize_by_batch


class SyncedBatchNorm(_BatchNorm):
    """BatchNorm over (b, d, *N) of any number of axes; in training its statistics are those of every process's batch.

    The batches may differ in size. Without a process group it is a plain BatchNorm.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input, (b, d, *N)."""
        if self.training or self.running_mean is None:
            return normalize_by_batch(self, input, None)
        return super().forward(input)

    def sum_over_ranks(self, sums: Tensor) -> Tensor:
        """The sums of every process, added up; their gradient likewise."""
        return _AllReduce.apply(sums) if dist.is_available() and dist.is_initialized() else sums

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes will do."""


def sync_norms(model: nn.Module) -> nn.Module:
    """The model with every BatchNorm in it synced; parameters and buffers stay the same objects."""
    for name, child in model.named_children():
        if isinstance(child, _BatchNorm) and not isinstance(child, SyncedBatchNorm):
            setattr(model, name, _synced(child))
        else:
            sync_norms(child)
    return model


def _synced(norm: _BatchNorm) -> SyncedBatchNorm:
    synced = SyncedBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    synced.weight, synced.bias = norm.weight, norm.bias
    for name, buffer in norm.named_buffers():
        setattr(synced, name, buffer)
    return synced.train(norm.training)


class _AllReduce(torch.autograd.Function):
    """The sum over all processes, each of which gets it; so the gradient is the sum of every process's gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Σ x."""
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Σ dx."""
        return _AllReduce.apply(grad)
