import json
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from lambdanets.recipes.registry import find_recipe
from lambdanets.training.average import ModelAverage
from lambdanets.training.config import Config
from lambdanets.training.journal import Record
from lambdanets.training.loop import DivergedError, fit
from lambdanets.training.optimizer import build_optimizer
from lambdanets.training.override import with_assignments
from lambdanets.training.schedule import learning_rate_at
from lambdanets.training.state import TrainingState


class Line:
    """A task of another kind than the package's own: fit y = 3x. It shares no code with classification."""

    num_samples = 8
    split = "test"

    def build_model(self) -> nn.Module:
        return nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.1))

    def batches(self, first_step: int) -> Iterator[Tensor]:
        while True:
            yield torch.linspace(-1, 1, 4)[:, None] + first_step
            first_step += 1

    def loss(self, model: nn.Module, batch: Tensor) -> tuple[Tensor, dict[str, float]]:
        return (model(batch) - 3 * batch).square().mean(), {"largest": float(batch.max())}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        return {"slope": float(model[0].weight.detach())}  # type: ignore[index]


def start(task: Line, config: Config) -> TrainingState:
    torch.manual_seed(0)
    model = task.build_model()
    return TrainingState(
        model=model, optimizer=build_optimizer(model, config.optimizer), average=ModelAverage(model, config.average)
    )


def configured(*assignments: str) -> Config:
    return with_assignments(find_recipe("digits"), ["batch_size=4", "epochs=3", "num_threads=1", *assignments])


def test_the_loop_takes_every_step_once_and_says_what_it_did() -> None:
    task, config, records, saved = Line(), configured("checkpoint.every_steps=4"), list[Record](), list[int]()
    state = start(task, config)
    assert fit(state, task, config, record=records.append, save=lambda s: saved.append(s.step), stop=lambda: False)
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert [record["epoch"] for record in records] == [0.5, 1, 1.5, 2, 2.5, 3]
    assert [record["largest"] for record in records] == [1, 2, 3, 4, 5, 6]
    rates = [learning_rate_at(step, 6, config.optimizer.learning_rate, config.schedule) for step in range(6)]
    assert [record["learning_rate"] for record in records] == rates
    assert saved == [4, 6]
    json.dumps(records, allow_nan=False)


def test_a_stop_saves_at_the_step_and_the_rest_follows_exactly() -> None:
    task, config = Line(), configured()
    undisturbed, halves = start(task, config), start(task, config)
    quiet = {"record": lambda record: None, "save": lambda state: None}
    assert fit(undisturbed, task, config, stop=lambda: False, **quiet)  # type: ignore[arg-type]
    assert not fit(halves, task, config, stop=lambda: halves.step == 2, **quiet)  # type: ignore[arg-type]
    assert halves.step == 2
    torch.rand(100)  # whatever else used the global generator meanwhile must not matter
    assert fit(halves, task, config, stop=lambda: False, **quiet)  # type: ignore[arg-type]
    for one, other in zip(undisturbed.model.parameters(), halves.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_loss_that_is_no_number_stops_before_it_reaches_the_weights() -> None:
    task, config = Line(), configured()
    state = start(task, config)
    before = [parameter.clone() for parameter in state.model.parameters()]

    def poisoned(first_step: int) -> Iterator[Tensor]:
        yield torch.full((4, 1), float("nan"))

    task.batches = poisoned  # type: ignore[method-assign]
    with pytest.raises(DivergedError, match=r"the loss is nan at step 1: a lower optimizer\.learning_rate"):
        fit(state, task, config, record=lambda r: None, save=lambda s: None, stop=lambda: False)
    for parameter, old in zip(state.model.parameters(), before, strict=True):
        assert torch.equal(parameter, old)


def test_a_finished_run_takes_no_further_step() -> None:
    task, config, records = Line(), configured(), list[Record]()
    state = start(task, config)
    state.step = config.num_steps(task.num_samples)
    assert fit(state, task, config, record=records.append, save=lambda s: None, stop=lambda: False)
    assert records == []


@pytest.mark.parametrize(("epochs", "steps"), [(1, 20), (25, 503), (0.001, 1)])
def test_steps_of_a_run(epochs: float, steps: int) -> None:
    assert with_assignments(find_recipe("digits"), [f"epochs={epochs}"]).num_steps(1287) == steps


def test_the_loop_can_be_read_on_one_screen() -> None:
    import inspect

    lines = inspect.getsource(fit).splitlines()
    assert len(lines) <= 60
