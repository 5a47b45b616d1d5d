"""The exponential moving average of a model's weights, which is what is evaluated and kept."""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import get_total_norm
from torch.optim.swa_utils import get_ema_multi_avg_fn


@dataclass(frozen=True, kw_only=True)
class AverageConfig:
    """How long the average remembers."""

    decay: float | None = 0.99
    """Weight of the past at each step, in [0, 1); None: no averaging, the model itself is evaluated."""

    def __post_init__(self) -> None:
        """Refuse a decay that forgets nothing or too much."""
        if self.decay is not None and not 0 <= self.decay < 1:
            raise ValueError(f"average.decay: got {self.decay}, wanted a number in [0, 1), or none.")


class ModelAverage:
    """Keeps `model`, a copy whose weights and BN statistics are the moving average of the trained model's."""

    def __init__(self, model: nn.Module, config: AverageConfig) -> None:
        self._decay, self._trained = config.decay, model
        self.model = model if config.decay is None else copy.deepcopy(model).requires_grad_(False)
        kept, new = self.model.state_dict(), model.state_dict()
        self._floats = [(kept[name], new[name]) for name in kept if kept[name].is_floating_point()]
        self._counts = [(kept[name], new[name]) for name in kept if not kept[name].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the model's weights after step t = 0, 1, …; the decay warms up as min(decay, (1 + t) / (10 + t))."""
        if self._decay is None:
            return
        blend = get_ema_multi_avg_fn(self.decay_at(step))
        kept, new = zip(*self._floats, strict=True)
        blend(kept, new, step)
        for count, newest in self._counts:
            count.copy_(newest)

    @torch.no_grad()
    def distance(self) -> float:
        """How far the average is from the trained weights, as a share of their norm; 0 without averaging."""
        if self._decay is None:
            return 0.0
        new = list(self._trained.parameters())
        apart = [kept - weight for kept, weight in zip(self.model.parameters(), new, strict=True)]
        return float(get_total_norm(apart) / get_total_norm(new).clamp_min(1e-12))

    def decay_at(self, step: int) -> float:
        """The weight of the past at step 0, 1, …; 0 without averaging."""
        return 0.0 if self._decay is None else min(self._decay, (1 + step) / (10 + step))
