"""How many cores there are to compute with; apart from the rest, because it has to work where torch is missing."""

import os


def usable_cores() -> int:
    """Cores that this process may run on, which can be fewer than the machine has; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
