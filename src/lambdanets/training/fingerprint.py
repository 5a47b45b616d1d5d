"""One sum of all that training changes, to tell whether two runs came to the same, bit for bit."""

import hashlib
from typing import Any

from torch import Tensor

from lambdanets.training.state import TrainingState


def fingerprint(state: TrainingState) -> str:
    """sha256 of model, average, optimizer and counters, in hexadecimal digits."""
    total = hashlib.sha256()
    _add(state.capture(), total)
    return total.hexdigest()


def _add(part: Any, total: Any) -> None:
    if isinstance(part, Tensor):
        total.update(part.detach().cpu().contiguous().numpy().tobytes())
    elif isinstance(part, dict):
        for key in sorted(part, key=str):
            total.update(str(key).encode())
            _add(part[key], total)
    elif isinstance(part, list | tuple):
        for item in part:
            _add(item, total)
    else:
        total.update(repr(part).encode())
