"""What runs in which dtype: sums over the context in fp32 or wider, whatever autocast says outside."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def at_least_fp32(dtype: torch.dtype) -> torch.dtype:
    """The dtype itself, or fp32 if it is narrower."""
    return torch.promote_types(dtype, torch.float32)


def widened(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in fp32 or wider: spectra of bf16 and fp16 numbers do not fit bf16 and fp16."""
    return tuple(tensor.to(at_least_fp32(tensor.dtype)) for tensor in tensors)


def autocast_dtype(device: str) -> torch.dtype | None:
    """The dtype that autocast asks for on this type of device; None where it is off."""
    if device == "meta" or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def own_precision(device: str) -> AbstractContextManager[object]:
    """A block in which autocast casts nothing, for code that has chosen its dtypes itself."""
    if autocast_dtype(device) is None:
        return nullcontext()
    return torch.autocast(device, enabled=False)
