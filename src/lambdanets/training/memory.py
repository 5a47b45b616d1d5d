"""Steps that do not fit into memory: how they are recognised, and what is tried then."""

import resource
import sys

import torch


class OutOfMemoryError(ValueError):
    """Not even one sample at a time fits into memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("can't allocate memory", "not enough memory", "out of memory")  # PyTorch's allocator of the CPU
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def halved(samples: int) -> int:
    """Half as many samples at once.

    Raises:
        OutOfMemoryError: it was one already.
    """
    if samples == 1:
        raise OutOfMemoryError(
            "a step of a single sample does not fit into memory: take a smaller model or data.image_size, "
            "or set model_options.checkpointing=true."
        )
    return (samples + 1) // 2


def let_go(device: str) -> None:
    """Give memory that no tensor holds any more back to the device."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def peak_mebibytes(device: str) -> float:
    """The most memory this process ever held, in MiB; on a GPU, the most that tensors took there."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
