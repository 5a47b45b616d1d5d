"""Everything that changes while a run goes on; saved whole, restored whole.

No random state is among it: order, augmentation and dropout are pure functions of the seed and the step.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lambdanets.training.average import ModelAverage


@dataclass(kw_only=True)
class TrainingState:
    """A run at one moment."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: ModelAverage
    step: int = 0
    """Steps taken."""

    def capture(self) -> dict[str, Any]:
        """The state as tensors, numbers, strings, lists and dicts."""
        return {
            "step": self.step,
            "model": dict(self.model.state_dict()),
            "average": dict(self.average.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, captured: dict[str, Any]) -> None:
        """Go back to a captured moment, bit for bit."""
        self.model.load_state_dict(captured["model"])
        self.average.model.load_state_dict(captured["average"])
        self.optimizer.load_state_dict(captured["optimizer"])
        self.step = captured["step"]
