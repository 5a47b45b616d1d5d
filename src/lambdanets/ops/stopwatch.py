"""How long a call takes on its device: CPU time of this process, or the time between two events around a GPU's work.

The one place that knows a GPU's own clock, and that its work is done later than it is asked for.
"""

import time
from collections.abc import Callable

import torch

Stopwatch = Callable[[Callable[[], object]], float]
"""Runs a call; the seconds that it took, above 0."""
CACHE_BYTES = 2**28
"""More than any GPU's last cache holds."""
LEAST = 1e-9
"""Seconds that anything takes at least."""


def stopwatch(device: str) -> Stopwatch:
    """What times calls whose work is on `device`; on a GPU each call starts with caches that hold nothing of it."""
    return _Events(device) if torch.device(device).type == "cuda" else cpu_seconds


def cpu_seconds(call: Callable[[], object]) -> float:
    """CPU time of this process, which other jobs on the machine disturb least."""
    start = time.process_time()
    call()
    return max(LEAST, time.process_time() - start)


def finish(device: str) -> None:
    """Wait until all is done that was asked of the device; raises what went wrong there meanwhile."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


class _Events:
    """Times by CUDA events: from when the GPU reaches the call until it has finished it."""

    def __init__(self, device: str) -> None:
        self.cache = torch.empty(CACHE_BYTES, dtype=torch.uint8, device=device)

    def __call__(self, call: Callable[[], object]) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.cache.zero_()  # empties the cache, and lets the host run ahead, as it does in a training
        begin.record()
        call()
        end.record()
        end.synchronize()
        return max(LEAST, begin.elapsed_time(end) / 1e3)
