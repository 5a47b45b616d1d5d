"""The optimizer, with weight decay on weights only: not on norms, biases or other one-axis parameters."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Which optimizer, and its numbers."""

    name: Literal["adamw", "sgd"] = "adamw"
    """adamw, or sgd with Nesterov momentum."""
    learning_rate: float = 3e-3
    """The highest learning rate of the run; the schedule scales it. Above 0."""
    weight_decay: float = 0.05
    """Pull towards zero, on parameters of two axes and more; 0 or above."""
    momentum: float = 0.9
    """Memory of the gradient (adamw: its first beta), in [0, 1)."""
    clip_norm: float | None = None
    """Largest norm of the whole gradient, above 0; None: gradients are left as they are."""

    def __post_init__(self) -> None:
        """Refuse numbers no optimizer can use, NaN included."""
        if not (0 < self.learning_rate < math.inf):
            raise ValueError(f"optimizer.learning_rate: got {self.learning_rate}, wanted a number above 0.")
        if not (0 <= self.weight_decay < math.inf):
            raise ValueError(f"optimizer.weight_decay: got {self.weight_decay}, wanted 0 or above.")
        if not (0 <= self.momentum < 1):
            raise ValueError(f"optimizer.momentum: got {self.momentum}, wanted a number in [0, 1).")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"optimizer.clip_norm: got {self.clip_norm}, wanted a number above 0, or none.")


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """An optimizer over the model's parameters, in two groups: with and without weight decay."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.momentum, 0.999), fused=True)
    return torch.optim.SGD(
        groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.momentum > 0, fused=True
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """The same learning rate for every group."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def clip_gradients(model: nn.Module, config: OptimizerConfig) -> float:
    """The norm of the whole gradient; where the config sets a limit, a longer gradient is shortened to it."""
    limit = math.inf if config.clip_norm is None else config.clip_norm
    return float(nn.utils.clip_grad_norm_(model.parameters(), limit))
