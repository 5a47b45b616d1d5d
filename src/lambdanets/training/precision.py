"""In which numbers a step is computed: autocast, the scale of fp16, memory layout, compilation."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

Dtype = Literal["float32", "bfloat16", "float16", "float64"]


@dataclass(frozen=True, kw_only=True)
class PrecisionConfig:
    """How the network computes."""

    dtype: Dtype = "float32"
    """float32; bfloat16 or float16: the products in it, sums, norms, logits and loss in float32; float64: everything,
    which is slow and for checks."""
    channels_last: bool = False
    """Whether images lie channels fastest in memory, as the 3 × 3 convolutions of GPUs like them."""
    compile: bool = False
    """Whether torch.compile makes the network's code: minutes at first, worth it on GPUs."""


def prepared(model: nn.Module, config: PrecisionConfig) -> nn.Module:
    """The model, its parameters in the dtype and layout in which they are kept."""
    if config.dtype == "float64":
        model = model.double()
    return model.to(memory_format=torch.channels_last) if config.channels_last else model  # type: ignore[call-overload]


def input_dtype(config: PrecisionConfig) -> torch.dtype:
    """The dtype of images on their way into the network."""
    return torch.float64 if config.dtype == "float64" else torch.float32


@contextmanager
def computing(config: PrecisionConfig, device: str) -> Iterator[None]:
    """Within this block the network computes in the config's numbers; the loss belongs outside."""
    halves = config.dtype in ("bfloat16", "float16")
    kind = device.partition(":")[0]
    with torch.autocast(kind, dtype=getattr(torch, config.dtype)) if halves else nullcontext():
        yield


def gradient_scaler(config: PrecisionConfig, device: str) -> torch.amp.GradScaler:
    """What keeps the small gradients of float16 from vanishing; does nothing for other dtypes."""
    return torch.amp.GradScaler(device.partition(":")[0], enabled=config.dtype == "float16")
