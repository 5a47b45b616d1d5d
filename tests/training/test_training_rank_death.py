"""R7: one of several processes dies or hangs; torchrun starts all again, and the weights come out the same."""

from pathlib import Path

import pytest
from rank_deaths import ACTIONS, HEADER, random_deaths, train

from lambdanets.faults import Fault

RUNS = 30


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    return train(tmp_path_factory.mktemp("undisturbed") / "run", 2).weights


@pytest.mark.parametrize(
    ("place", "at", "action", "rank"),
    [("ranks: gradients", 5, "kill", 1), pytest.param("step: forward", 4, "stop", 0, marks=pytest.mark.slow)],
)
def test_a_training_survives_the_loss_of_a_process(
    undisturbed: str, tmp_path: Path, place: str, at: int, action: str, rank: int
) -> None:
    fault = Fault(place=place, at=at, action=action, rank=rank, mark=str(tmp_path / "mark"))
    outcome = train(tmp_path / "run", 2, fault)
    assert outcome.exit_code == 0, outcome.words
    assert outcome.struck
    assert outcome.named, outcome.words
    assert outcome.weights == undisturbed
    assert "Warning" not in outcome.words


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_30_random_losses_lose_nothing(tmp_path: Path) -> None:
    rows = list(random_deaths(tmp_path, RUNS, seed=0, lanes=2))
    print("\n".join(["", HEADER, *map(str, rows)]))
    assert {row.fault.action for row in rows} == set(ACTIONS)
    assert [str(row) for row in rows if not row.is_well] == []
