"""The learning rate as a pure function of the step: nothing to save, nothing to restore."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """A rise, then a fall along a cosine or in steps, all as parts of the whole run.

    One-cycle is a cosine with a long, soft rise.
    """

    warmup_fraction: float = 0.3
    """Part of the run during which the learning rate rises, in [0, 1)."""
    warmup_shape: Literal["cosine", "linear"] = "cosine"
    """How it rises."""
    start_factor: float = 0.04
    """Learning rate of the first step, as a fraction of the highest, in [0, 1]."""
    fall_shape: Literal["cosine", "steps"] = "cosine"
    """How it falls: towards the final factor, or to a tenth at each of the drops."""
    final_factor: float = 1e-4
    """Learning rate that the end of the cosine approaches, as a fraction of the highest, in [0, 1]."""
    drops: tuple[float, ...] = (0.9, 0.95, 0.975)
    """Where the steps are, as fractions of the run, each in (0, 1)."""

    def __post_init__(self) -> None:
        """Refuse fractions outside their ranges, NaN included."""
        if not 0 <= self.warmup_fraction < 1:
            raise ValueError(f"schedule.warmup_fraction: got {self.warmup_fraction}, wanted a number in [0, 1).")
        for name in ("start_factor", "final_factor"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"schedule.{name}: got {getattr(self, name)}, wanted a number in [0, 1].")
        if not all(0 < drop < 1 for drop in self.drops):
            raise ValueError(f"schedule.drops: got {self.drops}, wanted numbers in (0, 1).")


def learning_rate_at(step: int, num_steps: int, peak: float, config: ScheduleConfig) -> float:
    """The learning rate of step 0 … num_steps − 1, between 0 and `peak`."""
    progress = step / num_steps
    if progress < config.warmup_fraction:
        part = progress / config.warmup_fraction
        if config.warmup_shape == "cosine":
            part = (1 - math.cos(math.pi * part)) / 2
        return peak * (config.start_factor + (1 - config.start_factor) * part)
    if config.fall_shape == "steps":
        return peak * 0.1 ** sum(progress >= drop for drop in config.drops)
    part = (progress - config.warmup_fraction) / (1 - config.warmup_fraction)
    return peak * (config.final_factor + (1 - config.final_factor) * (1 + math.cos(math.pi * part)) / 2)
