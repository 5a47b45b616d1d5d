"""Everything that changes while a run goes on; saved whole, restored whole.

No random state is among it: order, augmentation and dropout are pure functions of the seed and the step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn

from lambdanets.training.average import ModelAverage
from lambdanets.training.config import Config
from lambdanets.training.optimizer import build_optimizer
from lambdanets.training.precision import gradient_scaler


@dataclass(kw_only=True)
class TrainingState:
    """A run at one moment."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: ModelAverage
    scaler: torch.amp.GradScaler
    micro_batch_size: int
    """Samples of a step that a process takes at once, at most; not saved: it depends on the machine."""
    step: int = 0
    """Steps taken, the bad ones among them."""
    bad_steps: int = 0
    """Steps whose loss or gradient was no number, so that they changed nothing."""
    rollbacks: int = 0
    """How often the run went back to a checkpoint because of them; not saved: the journal tells it, up to the end."""
    unjudged: bool = False
    """Whether this step was to be judged, and that was not brought to its end."""
    judged_at_once: int | None = None
    """Samples that are judged at once, at most, where memory ran out at more; not saved."""
    judgement: Mapping[str, float] | None = None
    """What the task found of the finished run, from which its report is made; not saved."""

    @classmethod
    def begin(cls, model: nn.Module, config: Config) -> Self:
        """The state at step 0."""
        return cls(
            model=model,
            optimizer=build_optimizer(model, config.optimizer),
            average=ModelAverage(model, config.average),
            scaler=gradient_scaler(config.precision, config.device),
            micro_batch_size=config.micro_batch_size or config.batch_size,
        )

    @property
    def learning_rate_factor(self) -> float:
        """What the schedule's learning rate is multiplied by: halved at each return to a checkpoint."""
        return 0.5**self.rollbacks

    @property
    def model_device(self) -> str:
        """Where the model is, such as cpu or cuda:0."""
        return str(next(self.model.parameters()).device)

    def capture(self) -> dict[str, Any]:
        """The state as tensors, numbers, strings, lists and dicts."""
        return {
            "step": self.step,
            "bad_steps": self.bad_steps,
            "unjudged": self.unjudged,
            "scaler": self.scaler.state_dict(),
            "model": dict(self.model.state_dict()),
            "average": dict(self.average.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, captured: dict[str, Any]) -> None:
        """Go back to a captured moment, bit for bit."""
        self.model.load_state_dict(captured["model"])
        self.average.model.load_state_dict(captured["average"])
        self.optimizer.load_state_dict(captured["optimizer"])
        self.scaler.load_state_dict(captured["scaler"])
        self.step, self.bad_steps = captured["step"], captured["bad_steps"]
        self.unjudged = captured["unjudged"]
