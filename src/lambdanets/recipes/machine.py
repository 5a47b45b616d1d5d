"""What a recipe takes from the machine it is begun on. It changes how fast a run is, and is kept in its config."""

import torch

from lambdanets.training.cores import usable_cores

MOST_WORKERS = 16


def best_device() -> str:
    """The GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def spare_cores() -> int:
    """Cores left for processes that read pictures, 0…16: all but the two that train; the batches are the same."""
    return min(MOST_WORKERS, max(0, usable_cores() - 2))
