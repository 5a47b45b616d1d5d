"""What tasks of every kind have in common: where a process works, what it judges, what its config may choose."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from lambdanets.layers.synced_norm import sync_norms
from lambdanets.training.distributed import Ranks
from lambdanets.training.precision import computing, input_dtype, prepared
from lambdanets.training.shares import Shares
from lambdanets.training.task import Split

if TYPE_CHECKING:
    from lambdanets.training.config import Config, Option

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """Where one process of a run works."""

    config: "Config"
    ranks: Ranks

    @property
    def device(self) -> str:
        """Where this process computes."""
        return self.ranks.device(self.config.device)

    @property
    def shares(self) -> Shares:
        """How this process gets at its samples."""
        size, pin = self.config.batch_size, self.device.startswith("cuda")
        return Shares(ranks=self.ranks, loader=self.config.loader, batch_size=size, pin=pin)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of images on their way into the network."""
        return input_dtype(self.config.precision)

    def computing(self) -> AbstractContextManager[None]:
        """Within this block the network computes in the config's numbers; the loss belongs outside."""
        return computing(self.config.precision, self.device)

    def ready(self, model: Model) -> Model:
        """The model, changed in place to what works here: its norms, dtype, layout and device."""
        if self.config.sync_norm and self.ranks.count > 1:
            sync_norms(model)
        return prepared(model, self.config.precision).to(self.device)  # type: ignore[return-value]


def judged_of(data: Any) -> tuple[Any, Split]:
    """Which of the splits of some data the finished model is judged on, and its name."""
    return (data.test, "test") if data.validation is None else (data.validation, "validation")


def network_options(config: "Config") -> Mapping[str, "Option"]:
    """The options of the network that a config chooses; ValueError for one of those that the data decides."""
    for name in ("num_classes", "in_chans"):
        if name in config.model_options:
            raise ValueError(f"model_options.{name} cannot be set: the data decides it. Leave it out.")
    return config.model_options
