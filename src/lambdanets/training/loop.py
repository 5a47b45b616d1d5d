"""The training loop, to be read from top to bottom: `fit`, the steps it takes, and what is done when one goes wrong."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from enum import Enum, auto
from typing import Any, Protocol

import torch

from lambdanets.faults import reach
from lambdanets.training.config import Config
from lambdanets.training.distributed import Ranks
from lambdanets.training.guard import Guard
from lambdanets.training.journal import Record
from lambdanets.training.judging import judge
from lambdanets.training.memory import halved, is_out_of_memory, let_go, peak_mebibytes
from lambdanets.training.state import TrainingState
from lambdanets.training.step import Stepper, StepResult
from lambdanets.training.stopwatch import Stopwatch
from lambdanets.training.task import Task

DISTANCE_EVERY = 10
"""Steps from one measurement of how far the average is from the trained weights to the next; it costs a millisecond."""


class Host(Protocol):
    """The world around a run: its files, and whoever watches it."""

    def record(self, entry: Record) -> None:
        """Keep a line of the journal."""
        ...

    def save(self, state: TrainingState, score: float | None) -> bool:
        """Keep the state; `score` is how good it was found just now, if it was judged. False if it is not finite."""
        ...

    def go_back(self, state: TrainingState) -> bool:
        """Restore the newest state that was kept and forget what was recorded since. False if none was kept."""
        ...

    def note_unreadable(self, notes: Sequence[str]) -> None:
        """Keep what could not be read, a sentence each."""
        ...

    def take_fewer(self, micro_batch_size: int) -> None:
        """Keep, for this run and the processes that may continue it, how many samples fit into memory at once."""
        ...

    def tell(self, sentence: str) -> None:
        """Say what a person should know."""
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
        DivergedError: the loss, its gradient or the state stays NaN or infinite. What was saved before stays.
        UnreadableDataError: too many samples cannot be read.
        OutOfMemoryError: not even one sample at a time fits into memory.
        NeedsRestartError: the memory of one of several processes was too small; fewer samples at once are noted.
    """
    network = torch.compile(state.model) if config.precision.compile else state.model
    network = ranks.wrap(network)  # type: ignore[arg-type]
    stepper = Stepper(state=state, task=task, config=config, ranks=ranks, network=network, watch=Stopwatch())
    guard = Guard(config.guard)
    while True:
        ending = take_steps(stepper, guard, host)
        if ending is not Ending.DIVERGED and _is_saved(stepper, host, None):
            return ending is Ending.FINISHED
        _go_back(stepper, guard, host)


def take_steps(stepper: Stepper, guard: Guard, host: Host) -> Ending:
    """Steps, each recorded, until one of the reasons not to take another; saved and judged as often as configured."""
    state, task, config = stepper.state, stepper.task, stepper.config
    num_steps = config.num_steps(task.num_samples)
    if state.unjudged:  # it was stopped in the middle of that
        _is_saved(stepper, host, _judge(stepper, host))
    with closing(task.batches(state.step, host.should_stop)) as batches:
        while state.step < num_steps:
            stepper.watch.passed("keeping")
            batch = _next(batches)
            if stepper.ranks.any(host.should_stop()):
                return Ending.STOPPED
            stepper.watch.passed("data")
            host.note_unreadable(task.notes(batch))
            result = _within_memory(stepper, batch, host)
            state.step += 1
            state.bad_steps += not result.is_good
            host.record(_step_record(stepper, result))
            guard.count_unreadable(config.batch_size, result.metrics.get("unreadable", 0.0) * config.batch_size)
            if guard.has_diverged(result.is_good or result.is_overflow):
                return Ending.DIVERGED
            score = _judge(stepper, host) if config.judges_after(state.step, task.num_samples) else None
            is_time = score is not None or state.step % config.checkpoint.every_steps == 0
            if result.is_good and is_time and not _is_saved(stepper, host, score):
                return Ending.DIVERGED
    return Ending.FINISHED


def _next(batches: Iterator[Any]) -> Any:
    """The next batch, as soon as it is there; None if someone asks to stop before it is."""
    reach("data: wait")
    try:
        return next(batches)
    except InterruptedError:
        return None


def _is_saved(stepper: Stepper, host: Host, score: float | None) -> bool:
    """Whether the state was fit to be kept, which all processes agree on."""
    return not stepper.ranks.any(not host.save(stepper.state, score))


def _go_back(stepper: Stepper, guard: Guard, host: Host) -> None:
    """To the newest checkpoint, or the beginning if there is none yet, with half the learning rate from there on."""
    state = stepper.state
    left, bad_steps, rollbacks = state.step, state.bad_steps, state.rollbacks + 1
    guard.begin_again(rollbacks, left)
    if not host.go_back(state):
        state.restore(TrainingState.begin(stepper.task.build_model(), stepper.config).capture())
    state.rollbacks = rollbacks
    host.tell(f"Went back to step {state.step}, with half the learning rate: there were NaN or infinity up to {left}.")
    event: Record = {"event": "rollback", "step": state.step, "from_step": left, "bad_steps": bad_steps}
    host.record(event | {"learning_rate_factor": state.learning_rate_factor})


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
        let_go(state.model_device)
        state.micro_batch_size = halved(stepper.samples_at_once)
        host.take_fewer(state.micro_batch_size)
        if stepper.ranks.count > 1:  # the others are waiting in the middle of an exchange
            raise NeedsRestartError(f"memory ran out; {state.micro_batch_size} samples at once from now on")


def _judge(stepper: Stepper, host: Host) -> float | None:
    """How good the averaged weights are by now, recorded; None if someone asked to stop before that was known.

    One of several processes cannot leave the others in the middle: they judge to the end.
    """
    state = stepper.state
    stopped = host.should_stop if stepper.ranks.count == 1 else _never
    state.unjudged = True
    try:
        scores = judge(state, stepper.task, tell=host.tell, stopped=stopped)
    except InterruptedError:
        return None
    state.unjudged = False
    stepper.watch.passed("judging")
    host.record({"event": "judged", "step": state.step, **scores})
    return scores[stepper.task.score]


def _never() -> bool:
    return False


def _step_record(stepper: Stepper, result: StepResult) -> Record:
    state, task, config = stepper.state, stepper.task, stepper.config
    record: Record = {"event": "step", "step": state.step, "epoch": state.step * config.batch_size / task.num_samples}
    record |= result.metrics
    record |= {"learning_rate": result.learning_rate, "gradient_norm": result.gradient_norm}
    record |= {"average_decay": state.average.decay_at(state.step - 1), "bad_steps": state.bad_steps}
    if state.step % DISTANCE_EVERY == 0:
        record["average_distance"] = state.average.distance()
    stepper.watch.passed("rest")
    return record | stepper.watch.take() | {"memory_mib": round(peak_mebibytes(state.model_device), 1)}
