"""The training loop: one function, to be read from top to bottom."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch

from lambdanets.data.counter import Purpose, random_seed
from lambdanets.training.config import Config
from lambdanets.training.journal import Record
from lambdanets.training.optimizer import clip_gradients, set_learning_rate
from lambdanets.training.schedule import learning_rate_at
from lambdanets.training.state import TrainingState
from lambdanets.training.task import Task


class DivergedError(ValueError):
    """The loss is no longer a number."""


def fit(
    state: TrainingState,
    task: Task[Any],
    config: Config,
    *,
    record: Callable[[Record], None],
    save: Callable[[TrainingState], object],
    stop: Callable[[], bool],
) -> bool:
    """Take the steps that are left. True when the run is finished, False when `stop` ended it early; saved either way.

    Raises:
        DivergedError: the loss became NaN or infinite. What was saved before stays.
    """
    num_steps = config.num_steps(task.num_samples)
    clock = time.perf_counter()
    for batch in task.batches(state.step):
        if state.step >= num_steps or stop():
            break
        torch.manual_seed(random_seed(Purpose.STEP, config.seed, state.step))  # dropout, stochastic depth
        learning_rate = learning_rate_at(state.step, num_steps, config.optimizer.learning_rate, config.schedule)
        set_learning_rate(state.optimizer, learning_rate)

        loss, metrics = task.loss(state.model, batch)
        check_finite(loss.item(), state.step + 1)
        state.optimizer.zero_grad()
        loss.backward()
        gradient_norm = clip_gradients(state.model, config.optimizer)
        state.optimizer.step()
        state.average.update(state.step)
        state.step += 1

        seconds, clock = time.perf_counter() - clock, time.perf_counter()
        numbers = {"loss": loss.item(), **metrics, "learning_rate": learning_rate, "gradient_norm": gradient_norm}
        epoch = state.step * config.batch_size / task.num_samples
        record({"event": "step", "step": state.step, "epoch": epoch, **numbers, "seconds": seconds})
        if state.step % config.checkpoint.every_steps == 0:
            save(state)
    save(state)
    return state.step >= num_steps


def check_finite(loss: float, step: int) -> None:
    """Raise DivergedError, before the weights are touched, unless the loss of this step is a number."""
    if not math.isfinite(loss):
        raise DivergedError(
            f"the loss is {loss} at step {step}: "
            "a lower optimizer.learning_rate, or a limit such as optimizer.clip_norm=1, usually helps."
        )
