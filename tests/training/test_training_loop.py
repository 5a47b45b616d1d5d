import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lambdanets.recipes.registry import find_recipe
from lambdanets.training.config import Config
from lambdanets.training.distributed import ALONE
from lambdanets.training.journal import Record
from lambdanets.training.loop import fit
from lambdanets.training.override import with_assignments
from lambdanets.training.profile import PARTS
from lambdanets.training.schedule import learning_rate_at
from lambdanets.training.snapshot import NotFiniteError, check_finite_state
from lambdanets.training.state import TrainingState


class Line:
    """A task of another kind than the package's own: fit y = 3x. It shares no code with classification."""

    num_samples = 8
    score = "accuracy"
    split = "test"

    def build_model(self) -> nn.Module:
        return nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.1))

    def batches(self, first_step: int, stopped: Callable[[], bool]) -> Iterator[Tensor]:
        while True:
            yield torch.linspace(-1, 1, 4)[:, None] + first_step
            first_step += 1

    def parts(self, batch: Tensor, count: int) -> list[Tensor]:
        return list(batch.tensor_split(count))

    def size(self, part: Tensor) -> int:
        return len(part)

    def notes(self, batch: Tensor) -> list[str]:
        return []

    def loss(self, model: nn.Module, part: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return (model(part) - 3 * part).square().mean(), {"middle": part.mean()}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        return {"slope": float(model[0].weight.detach()), "accuracy": 0.5}  # type: ignore[index]


@dataclass
class InMemory:
    """A world without files."""

    stop_at: int | None = None
    state: TrainingState | None = None
    records: list[Record] = field(default_factory=list)
    saved: list[tuple[int, float | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fewer: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    newest: dict[str, Any] | None = None

    def record(self, entry: Record) -> None:
        self.records.append(entry)

    def save(self, state: TrainingState, score: float | None) -> bool:
        try:
            check_finite_state(state.capture())
        except NotFiniteError:
            return False
        self.saved.append((state.step, score))
        self.newest = copy.deepcopy(state.capture())
        return True

    def go_back(self, state: TrainingState) -> bool:
        if self.newest is not None:
            state.restore(copy.deepcopy(self.newest))
        self.records = [
            record for record in self.records if int(record["step"] or 0) <= (state.step if self.newest else 0)
        ]
        return self.newest is not None

    def tell(self, sentence: str) -> None:
        self.told.append(sentence)

    def note_unreadable(self, notes: Sequence[str]) -> None:
        self.notes += notes

    def take_fewer(self, micro_batch_size: int) -> None:
        self.fewer.append(micro_batch_size)

    def should_stop(self) -> bool:
        return self.state is not None and self.state.step == self.stop_at


def start(task: Line, config: Config) -> TrainingState:
    torch.manual_seed(0)
    return TrainingState.begin(task.build_model(), config)


def configured(*assignments: str) -> Config:
    return with_assignments(find_recipe("digits"), ["batch_size=4", "epochs=3", "num_threads=1", *assignments])


def test_the_loop_takes_every_step_once_and_says_what_it_did() -> None:
    task, config, host = Line(), configured("checkpoint.every_steps=4"), InMemory()
    assert fit(start(task, config), task, config, ranks=ALONE, host=host)
    records = host.records
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert [record["epoch"] for record in records] == [0.5, 1, 1.5, 2, 2.5, 3]
    assert [record["middle"] for record in records] == pytest.approx([0, 1, 2, 3, 4, 5], abs=1e-6)
    rates = [learning_rate_at(step, 6, config.optimizer.learning_rate, config.schedule) for step in range(6)]
    assert [record["learning_rate"] for record in records] == rates
    assert host.saved == [(4, None), (6, None)]
    json.dumps(records, allow_nan=False)


def test_the_times_of_a_step_add_up() -> None:
    task, config, host = Line(), configured(), InMemory()
    fit(start(task, config), task, config, ranks=ALONE, host=host)
    for record in host.records:
        parts = [float(record[f"{name}_seconds"] or 0) for name in PARTS]
        assert sum(parts) == pytest.approx(record["seconds"])
        assert min(parts) > 0


def test_a_stop_saves_at_the_step_and_the_rest_follows_exactly() -> None:
    task, config = Line(), configured()
    undisturbed, halves = start(task, config), start(task, config)
    assert fit(undisturbed, task, config, ranks=ALONE, host=InMemory())
    assert not fit(halves, task, config, ranks=ALONE, host=InMemory(stop_at=2, state=halves))
    assert halves.step == 2
    torch.rand(100)  # whatever else used the global generator meanwhile must not matter
    assert fit(halves, task, config, ranks=ALONE, host=InMemory())
    for one, other in zip(undisturbed.model.parameters(), halves.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_batch_taken_in_parts_gives_the_gradient_of_the_whole() -> None:
    task = Line()
    task.build_model = lambda: nn.Linear(1, 1)  # type: ignore[method-assign]  # without dropout
    results = []
    for size in (4, 3, 2, 1):
        config = configured(f"micro_batch_size={size}")
        host, state = InMemory(), start(task, config)
        fit(state, task, config, ranks=ALONE, host=host)
        results.append([[record[name] for name in ("loss", "middle", "gradient_norm")] for record in host.records])
    for parts in results[1:]:
        torch.testing.assert_close(torch.tensor(parts), torch.tensor(results[0]), rtol=1e-6, atol=1e-6)


def test_the_run_is_judged_and_saved_with_its_score_as_often_as_asked() -> None:
    task, config, host = Line(), configured("judge_every_epochs=1.5", "checkpoint.every_steps=100"), InMemory()
    assert fit(start(task, config), task, config, ranks=ALONE, host=host)
    assert host.saved == [(3, 0.5), (6, 0.5), (6, None)]
    assert [record["step"] for record in host.records if record["event"] == "judged"] == [3, 6]


def test_a_finished_run_takes_no_further_step() -> None:
    task, config, host = Line(), configured(), InMemory()
    state = start(task, config)
    state.step = config.num_steps(task.num_samples)
    assert fit(state, task, config, ranks=ALONE, host=host)
    assert host.records == []


@pytest.mark.parametrize(("epochs", "steps"), [(1, 20), (25, 503), (0.001, 1)])
def test_steps_of_a_run(epochs: float, steps: int) -> None:
    assert with_assignments(find_recipe("digits"), [f"epochs={epochs}"]).num_steps(1287) == steps


def test_the_loop_can_be_read_on_one_screen() -> None:
    import inspect

    lines = inspect.getsource(fit).splitlines()
    assert len(lines) <= 60
