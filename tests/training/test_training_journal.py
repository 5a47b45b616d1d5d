import json
from pathlib import Path

from lambdanets.training.journal import Journal, read_journal


def test_records_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    for step in range(3):
        journal.append({"event": "step", "step": step, "loss": 1 / (step + 1)})
    assert [record["step"] for record in read_journal(tmp_path / "metrics.jsonl")] == [0, 1, 2]
    assert all(json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines())


def test_a_number_that_json_does_not_know_becomes_null(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    Journal(path).append({"step": 1, "loss": float("nan"), "gradient_norm": float("inf"), "event": "step"})
    assert read_journal(path) == [{"step": 1, "loss": None, "gradient_norm": None, "event": "step"}]


def test_a_torn_last_line_is_left_out_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert read_journal(path) == [{"step": 1}, {"step": 2}]
    Journal(path).rewind(2)
    Journal(path).append({"step": 3})
    assert read_journal(path) == [{"step": 1}, {"step": 2}, {"step": 3}]


def test_rewinding_forgets_what_comes_after_the_step(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    for step in range(1, 6):
        journal.append({"step": step})
    journal.rewind(3)
    assert [record["step"] for record in read_journal(tmp_path / "metrics.jsonl")] == [1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_no_file_is_no_records(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "metrics.jsonl") == []
