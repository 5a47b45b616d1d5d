"""Gradient checkpointing for a block whose norms keep running statistics.

A block that runs a second time for its gradients would count its batch twice in every BatchNorm. Here the second
run records into copies and leaves the real statistics alone: training with checkpointing gives the same weights and
the same buffers as without.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recomputed(block: nn.Module, *inputs: Tensor, run: Callable[..., Any] | None = None) -> Any:
    """`block(*inputs)`, or `run(block, *inputs)`, keeping only the inputs for the backward pass."""

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """The contexts of the computation and of its repetition."""
        return nullcontext(), running_statistics_kept(block)

    call = block if run is None else partial(run, block)
    return checkpoint(call, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def running_statistics_kept(block: nn.Module) -> Iterator[None]:
    """While it lasts, norms record their running statistics in copies that are thrown away afterwards."""
    norms = [part for part in block.modules() if isinstance(part, _BatchNorm) and part.training]
    kept = [dict(norm.named_buffers(recurse=False)) for norm in norms]
    for norm, buffers in zip(norms, kept, strict=True):
        for name, buffer in buffers.items():
            setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, buffers in zip(norms, kept, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)
