"""Where the time of a step goes: the parts that are recorded add up to the step, and their shares to one."""

from pathlib import Path

import pytest

from lambdanets.cli import main
from lambdanets.training.journal import Record, read_journal
from lambdanets.training.profile import PARTS, profile_of


def step(number: int, **seconds: float) -> Record:
    record: Record = {"event": "step", "step": number, "seconds": sum(seconds.values())}
    return record | {f"{part}_seconds": value for part, value in seconds.items()}


def test_a_typical_step_is_not_the_slowest_one() -> None:
    records = [step(n, data=1.0, forward=3.0, backward=5.0, optimizer=1.0, rest=0.0) for n in range(1, 10)]
    records.append(step(10, data=1.0, forward=3.0, backward=5.0, optimizer=1.0, rest=0.0, keeping=100.0))
    records.append({"event": "judged", "step": 10, "accuracy": 0.5})
    found = profile_of(records)
    assert found is not None
    assert found.num_steps == 10
    assert found.shares == pytest.approx(dict(zip(PARTS, (0.1, 0.3, 0.5, 0.1, 0.0, 0.0), strict=True)))
    assert found.outside == pytest.approx(0.1)
    assert found.outside_of_all == pytest.approx(110 / 200)
    assert found.sentence.startswith("10.0% of a step's time is outside")


@pytest.mark.parametrize("records", [[], [{"event": "step", "step": 1, "loss": 2.0}]], ids=["none", "of before"])
def test_without_recorded_parts_there_is_no_profile(records: list[Record]) -> None:
    assert profile_of(records) is None


def test_the_recorded_parts_are_all_of_a_step(trained_run: Path) -> None:
    assert_parts_add_up(trained_run)


@pytest.mark.slow
def test_the_recorded_parts_are_all_of_a_step_that_is_saved_and_judged(tmp_path: Path) -> None:
    settings = ("epochs=2", "judge_every_epochs=0.5", "checkpoint.every_steps=3", "data.validation_forms=13")
    words = [word for setting in settings for word in ("--set", setting)]
    assert main(["train", "digits", "--out", str(tmp_path / "run"), *words]) == 0
    assert_parts_add_up(tmp_path / "run")


def assert_parts_add_up(run: Path) -> None:
    steps = [record for record in read_journal(run / "metrics.jsonl") if record["event"] == "step"]
    assert steps
    for record in steps:
        parts = [float(value or 0) for name, value in record.items() if name.endswith("_seconds")]
        assert sum(parts) == pytest.approx(float(record["seconds"] or 0), rel=1e-6)
        known = {f"{part}_seconds" for part in (*PARTS, "judging")}
        assert {name for name in record if name.endswith("_seconds")} <= known
    found = profile_of(steps)
    assert found is not None
    assert sum(found.shares.values()) == pytest.approx(1)
    assert 0 < found.outside < 1
