"""Calls on a device as a training makes them: bf16 by autocast, eager or compiled, and what they do when they fail."""

import gc
import sys
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from benchmarks.peers import Unable
from lambdanets.ops.stopwatch import finish

T = TypeVar("T")
OUT_OF_MEMORY = "out of memory"


class Autocast(nn.Module):
    """A layer or network whose forward pass runs in bf16 where that is safe."""

    def __init__(self, inner: nn.Module, device: str):
        super().__init__()
        self.inner, self.device = inner, torch.device(device).type

    def forward(self, x: Tensor) -> Tensor:
        """What the inner module makes of x."""
        with torch.autocast(self.device, torch.bfloat16):
            return self.inner(x)


class Guarded:
    """A call that fails once at most: then it says why in `failed`, and does nothing any more."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.failed: str | None = None

    def run(self, call: Callable[[], T]) -> T | None:
        """What the call returns, or None; raised are errors that the device does not survive, and `Unable`."""
        if self.failed is not None:
            return None
        try:
            return call()
        except (Unable, ImportError):
            raise  # no failure: there is nothing to run
        except (torch.OutOfMemoryError, MemoryError):
            self.failed = OUT_OF_MEMORY
        except Exception as error:  # whatever a contender does must not end the run
            self.failed = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:200]}"
        release(self.device)
        return None

    def __call__(self, call: Callable[[], object]) -> Callable[[], object]:
        """The same call, guarded."""
        return lambda: self.run(call)


def in_channels_last(x: Tensor) -> Tensor:
    """Maps of two or three axes with their channels fastest in memory; those of one axis as they are."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.contiguous(memory_format=formats[x.ndim]) if x.ndim in formats else x


def forget_compiled() -> None:
    """Drop what was compiled, which PyTorch does only so often for one function before it gives up compiling it."""
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


def release(device: str) -> None:
    """Give back what is not held; raises where an error has left the device unusable."""
    gc.collect()
    finish(device)
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
