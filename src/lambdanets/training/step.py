"""One step: forward and backward in as many parts as memory asks for, and an update only of sound numbers."""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lambdanets.data.counter import Purpose, random_seed
from lambdanets.faults import reach
from lambdanets.training.config import Config
from lambdanets.training.distributed import Ranks
from lambdanets.training.memory import OutOfMemoryError, is_out_of_memory
from lambdanets.training.optimizer import clip_gradients, set_learning_rate
from lambdanets.training.schedule import learning_rate_at
from lambdanets.training.state import TrainingState
from lambdanets.training.stopwatch import Stopwatch
from lambdanets.training.task import Task


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step has to say."""

    metrics: dict[str, float]
    """Means over the whole batch, of all processes: loss and what the task measures."""
    learning_rate: float
    gradient_norm: float
    is_good: bool
    """Whether loss and gradient are numbers on every process, so that the step was taken."""
    is_overflow: bool = False
    """Whether it was not because float16's gradients were scaled up too far, which is mended for the next step."""


@dataclass(kw_only=True)
class Stepper:
    """Takes the steps of a run."""

    state: TrainingState
    task: Task[Any]
    config: Config
    ranks: Ranks
    network: nn.Module
    """The state's model as it is called: wrapped for several processes, or compiled."""
    watch: Stopwatch

    def __post_init__(self) -> None:
        """Keep room for what a forward pass changes, should the step come to nothing."""
        self._buffers = list(self.state.model.buffers())
        self._kept = [buffer.clone() for buffer in self._buffers]

    def take(self, batch: Any) -> StepResult:
        """A step on this process's share of a batch; if its numbers are not finite, no weight, norm or average changes.

        Whether they are is the same on every process, as loss and gradient are those of all.
        """
        config, state = self.config, self.state
        num_steps = config.num_steps(self.task.num_samples)
        rate = learning_rate_at(state.step, num_steps, config.optimizer.learning_rate, config.schedule)
        rate *= state.learning_rate_factor
        set_learning_rate(state.optimizer, rate)
        _copy(self._kept, self._buffers)
        metrics = self._mean_of_all(self._gradient(batch))
        state.scaler.unscale_(state.optimizer)
        reach("step: gradient", state.model)
        norm = clip_gradients(state.model, config.optimizer)
        is_good = not self.ranks.any(not (math.isfinite(metrics["loss"]) and math.isfinite(norm)))
        is_overflow = not is_good and math.isfinite(metrics["loss"]) and state.scaler.get_scale() > 1
        if is_good:
            self._update()
        else:
            self.undo()
        state.scaler.update()
        state.optimizer.zero_grad()
        return StepResult(
            metrics=metrics, learning_rate=rate, gradient_norm=norm, is_good=is_good, is_overflow=is_overflow
        )

    def _update(self) -> None:
        """Change weights and average. Where memory runs out in between, there is no way back but the checkpoint."""
        state = self.state
        try:
            reach("step: update", state.model)
            state.scaler.step(state.optimizer)
            self.watch.passed("optimizer")
            state.average.update(state.step)
            reach("step: average", state.average.model)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemoryError(
                "the optimizer's update does not fit into memory: take a smaller model, or an optimizer.name that "
                "keeps less, such as sgd."
            ) from error

    def undo(self) -> None:
        """Put back what the forward passes of a step changed."""
        _copy(self._buffers, self._kept)
        self.state.optimizer.zero_grad()

    def _mean_of_all(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Sums over this process's samples as means over the whole batch."""
        numbers = self.ranks.sum(torch.stack(list(sums.values())))
        return dict(zip(sums, (numbers / self.config.batch_size).tolist(), strict=True))

    def _gradient(self, batch: Any) -> dict[str, Tensor]:
        """Leave the gradient of the batch's mean loss in the parameters; the metrics, summed over its samples."""
        sums: dict[str, Tensor] = {}
        parts = self.task.parts(batch, self.num_parts)
        for number, part in enumerate(parts):
            torch.manual_seed(  # dropout, stochastic depth
                random_seed(Purpose.STEP, self.config.seed, self.state.step, number, self.ranks.rank)
            )
            with self._without_exchange() if number + 1 < len(parts) else nullcontext():
                self._add_part(part, sums)
        return sums

    def _add_part(self, part: Any, sums: dict[str, Tensor]) -> None:
        """Forward and backward of one part, its metrics added to the sums."""
        reach("step: forward", part)
        loss, metrics = self.task.loss(self.network, part)
        self.watch.passed("forward")
        reach("step: backward", loss)
        size = self.task.size(part)
        share = size * self.ranks.count / self.config.batch_size  # the wrapper takes the mean over the processes
        self.state.scaler.scale(loss * share).backward()
        self.watch.passed("backward")
        for name, value in {"loss": loss.detach(), **metrics}.items():
            sums[name] = sums.get(name, 0) + value.double() * size

    @property
    def num_parts(self) -> int:
        """Parts of a process's share, the same number on every process."""
        return -(-self._share // self.samples_at_once)

    @property
    def samples_at_once(self) -> int:
        """Samples in the largest part."""
        return min(self._share, self.state.micro_batch_size)

    @property
    def _share(self) -> int:
        """Samples of a step that the first process takes; no other takes more."""
        return -(-self.config.batch_size // self.ranks.count)

    def _without_exchange(self) -> Any:
        return self.network.no_sync() if isinstance(self.network, DistributedDataParallel) else nullcontext()


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    """One call for all, as a GPU would be told of each."""
    with torch.no_grad():
        if targets:  # a network without norms has none
            torch._foreach_copy_(targets, sources)  # pyright: ignore[reportPrivateImportUsage]
