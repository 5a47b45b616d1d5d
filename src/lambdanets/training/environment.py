"""Where a run happened: versions, machine, threads. Kept beside the results, because they depend on it."""

import os
import platform
from importlib.metadata import version

import torch

from lambdanets.training.cores import usable_cores

_PACKAGES = ("lambdanets", "torch", "torchvision", "timm", "numpy", "scikit-learn")


def describe_environment() -> dict[str, str | int]:
    """Versions of Python and of the packages that a result depends on, the machine, cores to use, threads in use."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cores": usable_cores(),
        "cores_of_machine": os.cpu_count() or 0,
        "num_threads": torch.get_num_threads(),
    }
