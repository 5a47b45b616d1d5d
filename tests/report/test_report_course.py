"""The charts of a run: one for everything it recorded, with what went wrong marked, and none for what it did not."""

from typing import Any
from xml.etree import ElementTree

import pytest

from lambdanets.report.course import MAX_POINTS, Course
from lambdanets.training.curves import running_mean
from lambdanets.training.journal import Record

TITLES = [
    "Loss", "Accuracy, %", "Learning rate", "Gradient norm", "Images a second", "Memory at its most, MiB",
    "Averaging: weight of the past", "Averaged weights: distance, %",
]  # fmt: skip


def step(number: int, **changed: float | None) -> Record:
    record: Record = {"event": "step", "step": number, "loss": 1 / number, "accuracy": 0.5, "learning_rate": 1e-3}
    record |= {"gradient_norm": 2.0, "average_decay": 0.9, "average_distance": 0.01, "bad_steps": 0, "unreadable": 0.0}
    return record | {"seconds": 0.5, "memory_mib": 100.0} | changed


def course(*records: Record) -> Course:
    return Course(records=records, num_samples=100, batch_size=10, split="validation")


def parts(chart: str, name: str) -> list[Any]:
    return [part for part in ElementTree.fromstring(chart) if part.attrib.get("class") == name]


def test_everything_that_was_recorded_has_a_chart() -> None:
    found = course(*map(step, range(1, 30)))
    assert [title for title, _ in found.charts] == TITLES
    assert found.notes == []


def test_what_was_not_recorded_has_none() -> None:
    records: list[Record] = [{"event": "step", "step": number, "loss": 1.0} for number in (1, 2)]
    assert [title for title, _ in course(*records).charts] == ["Loss"]
    unaveraged = [step(number, average_decay=0.0, average_distance=0.0) for number in (1, 2)]
    assert [title for title, _ in course(*unaveraged).charts] == TITLES[:-2]


@pytest.mark.parametrize("records", [[], [step(1)]], ids=["none", "one"])
def test_a_run_of_hardly_a_step_has_no_charts(records: list[Record]) -> None:
    assert course(*records).charts == []


def test_speed_is_that_of_the_steps_without_the_judging() -> None:
    steps = [step(1), step(2, seconds=10.5, judging_seconds=10.0)]
    assert course(*steps)._speeds == [20.0, 20.0]


def test_bad_steps_and_returns_are_marked_and_told() -> None:
    steps = [step(number) for number in range(1, 10)]
    steps[3] = step(4, loss=None, gradient_norm=None, bad_steps=1)
    back: Record = {"event": "rollback", "step": 7, "from_step": 9, "bad_steps": 3}
    found = course(*steps, back, step(8), step(9))
    for _, chart in found.charts:
        assert len(parts(chart, "short-bad")) == 1
        assert len(parts(chart, "rollback")) == 1
    text = " ".join(found.notes)
    assert "3 steps with a loss or gradient that was no number" in text
    assert "1 return to a checkpoint" in text
    loss = dict(found.charts)["Loss"]
    assert len(parts(loss, "each")) == 3  # broken at the bad step and at the return
    assert len(parts(loss, "mean")) == 2


def test_judgements_stand_beside_loss_and_accuracy() -> None:
    judged: list[Record] = [{"event": "judged", "step": n, "accuracy": 0.1 * n, "loss": 1.0} for n in (2, 4)]
    found = course(*map(step, range(1, 6)), *judged)
    assert [title for title, chart in found.charts if parts(chart, "judged")] == TITLES[:2]
    assert "validation images" in found.notes[0]


def test_unreadable_pictures_are_told() -> None:
    (note,) = course(step(1), step(2, unreadable=0.3)).notes
    assert note.startswith("3 times a picture could not be read")


def test_a_long_run_has_no_heavier_page() -> None:
    long = course(*(step(number) for number in range(1, 5000)))
    for _, chart in long.charts:
        assert all(len(line.attrib["points"].split()) <= MAX_POINTS for line in parts(chart, "mean"))


def test_a_running_mean_passes_over_what_is_no_number() -> None:
    means = running_mean([float("nan"), 1.0, float("nan"), 1.0])
    assert means[0] != means[0]
    assert means[1:] == [1.0, 1.0, 1.0]


def test_what_is_measured_once_in_a_while_is_one_line() -> None:
    steps = [step(number, average_distance=0.01 if number % 10 == 0 else None) for number in range(1, 41)]
    chart = dict(course(*steps).charts)["Averaged weights: distance, %"]
    (line,) = parts(chart, "mean")
    assert len(line.attrib["points"].split()) == 4
