"""The training loop, to be read from top to bottom: `fit`, the steps it takes, and what is done when one goes wrong."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, Protocol

import torch

from lambdanets.training.config import Config
from lambdanets.training.distributed import Ranks
from lambdanets.training.guard import Guard
from lambdanets.training.journal import Record
from lambdanets.training.memory import halved, is_out_of_memory, peak_mebibytes
from lambdanets.training.state import TrainingState
from lambdanets.training.step import Stepper, StepResult
from lambdanets.training.stopwatch import Stopwatch
from lambdanets.training.task import Task


class Host(Protocol):
    """The world around a run: its files, and whoever watches it."""

    def record(self, entry: Record) -> None:
        """Keep a line of the journal."""
        ...

    def save(self, state: TrainingState, score: float | None) -> None:
        """Keep the state; `score` is how good it was found just now, if it was judged."""
        ...

    def go_back(self, state: TrainingState) -> None:
        """Restore the newest state that was kept."""
        ...

    def note_unreadable(self, notes: Sequence[str]) -> None:
        """Keep what could not be read, a sentence each."""
        ...

    def take_fewer(self, micro_batch_size: int) -> None:
        """Keep, for this run and the processes that may continue it, how many samples fit into memory at once."""
        ...

    def should_stop(self) -> bool:
        """Whether someone asked to stop, or the time is up."""
        ...


class Ending(Enum):
    """Why no further step is taken."""

    FINISHED = auto()
    STOPPED = auto()
    DIVERGED = auto()


class NeedsRestartError(RuntimeError):
    """The processes have to be started again, which torchrun does."""


def fit(state: TrainingState, task: Task[Any], config: Config, *, ranks: Ranks, host: Host) -> bool:
    """Take the steps that are left. True when the run is finished, False when it was stopped early; saved either way.

    Raises:
        DivergedError: the loss or its gradient stays NaN or infinite. What was saved before stays.
        UnreadableDataError: too many samples cannot be read.
        OutOfMemoryError: not even one sample at a time fits into memory.
        NeedsRestartError: the memory of one of several processes was too small; fewer samples at once are noted.
    """
    network = torch.compile(state.model) if config.precision.compile else state.model
    network = ranks.wrap(network)  # type: ignore[arg-type]
    stepper = Stepper(state=state, task=task, config=config, ranks=ranks, network=network, watch=Stopwatch())
    guard = Guard(config.guard)
    while (ending := take_steps(stepper, guard, host)) is Ending.DIVERGED:
        rollbacks = state.rollbacks + 1
        guard.begin_again(rollbacks, state.step)
        host.go_back(state)
        state.rollbacks, state.learning_rate_factor = rollbacks, 0.5**rollbacks
        host.record({"event": "rollback", "step": state.step, "learning_rate_factor": state.learning_rate_factor})
    host.save(state, None)
    return ending is Ending.FINISHED


def take_steps(stepper: Stepper, guard: Guard, host: Host) -> Ending:
    """Steps, each recorded, until one of the reasons not to take another; saved and judged as often as configured."""
    state, task, config, ranks = stepper.state, stepper.task, stepper.config, stepper.ranks
    num_steps = config.num_steps(task.num_samples)
    for batch in task.batches(state.step):
        if state.step >= num_steps:
            return Ending.FINISHED
        if ranks.any(host.should_stop()):
            return Ending.STOPPED
        stepper.watch.passed("data")
        host.note_unreadable(task.notes(batch))
        result = _within_memory(stepper, batch, host)
        state.step += 1
        state.bad_steps += not result.is_good
        host.record(_step_record(stepper, result))
        guard.count_unreadable(config.batch_size, result.metrics.get("unreadable", 0.0) * config.batch_size)
        if guard.has_diverged(result.is_good):
            return Ending.DIVERGED
        score = _judge(stepper, host) if config.judges_after(state.step, task.num_samples) else None
        if result.is_good and (score is not None or state.step % config.checkpoint.every_steps == 0):
            host.save(state, score)
    raise AssertionError("batches never end")


def _within_memory(stepper: Stepper, batch: Any, host: Host) -> StepResult:
    """The step; where memory runs out, again with half as many samples at once, until it fits."""
    state = stepper.state
    while True:
        try:
            return stepper.take(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        stepper.undo()  # outside of the handler, whose error holds the tensors of the step
        if state.model_device.startswith("cuda"):
            torch.cuda.empty_cache()
        state.micro_batch_size = halved(stepper.samples_at_once)
        host.take_fewer(state.micro_batch_size)
        if stepper.ranks.count > 1:  # the others are waiting in the middle of an exchange
            raise NeedsRestartError(f"memory ran out; {state.micro_batch_size} samples at once from now on")


def _judge(stepper: Stepper, host: Host) -> float | None:
    """How good the averaged weights are by now, recorded."""
    scores = stepper.task.evaluate(stepper.state.average.model)
    stepper.watch.passed("judging")
    host.record({"event": "judged", "step": stepper.state.step, **scores})
    return scores.get("accuracy")


def _step_record(stepper: Stepper, result: StepResult) -> Record:
    state, task, config = stepper.state, stepper.task, stepper.config
    record: Record = {"event": "step", "step": state.step, "epoch": state.step * config.batch_size / task.num_samples}
    record |= result.metrics
    record |= {"learning_rate": result.learning_rate, "gradient_norm": result.gradient_norm}
    record |= {"average_decay": state.average.decay_at(state.step - 1), "bad_steps": state.bad_steps}
    stepper.watch.passed("rest")
    return record | stepper.watch.take() | {"memory_mib": round(peak_mebibytes(state.model_device), 1)}
