"""What was measured is kept, and one measurement that kills its process costs itself alone."""

import sys
import time
from pathlib import Path

import pytest

from benchmarks.journal import Journal, supervise, work

WORKER = """
import os, pathlib, sys, time
sys.path.insert(0, {root!r})
from benchmarks.journal import Journal, work

journal = Journal(pathlib.Path({path!r}))

def measure(key):
    done = []
    for step in ("one", "bad", "two"):
        if step in journal.deaths.get(key, {{}}):
            continue
        if key != "plain":
            journal.begin(key, step)
        if step == "bad" and key == "deadly":
            os._exit(7)
        if step == "bad" and key == "endless":
            time.sleep(60)
        done.append(step)
    if key == "stepless":
        journal.begin(key)
        os._exit(9)
    return done

work(["plain", "deadly", "endless", "stepless", "last"], journal, measure)
"""
KEYS = ["plain", "deadly", "endless", "stepless", "last"]


def test_answers_and_what_is_open_are_read_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "a.jsonl")
    journal.describe("here")
    journal.describe("there")
    journal.begin("a", "x")
    again = Journal(journal.path)
    assert (again.head, again.open, again.answers) == ("here", ("a", "x"), {})
    again.bury("fell over")
    again.answer("a", {"y": 1.5})
    with journal.path.open("a") as file:
        file.write('{"key": "b", "ans')  # killed in the middle of a line
    last = Journal(journal.path)
    assert (last.open, last.answers, last.deaths) == (None, {"a": {"y": 1.5}}, {"a": {"x": "fell over"}})


def test_work_goes_on_where_it_stopped(tmp_path: Path) -> None:
    journal, asked = Journal(tmp_path / "a.jsonl"), []
    journal.answer("b", 2)
    work(["a", "b", "c"], journal, lambda key: asked.append(key) or key, after=lambda: asked.append("after"))
    assert asked == ["a", "after", "c", "after"]
    assert Journal(journal.path).answers == {"a": "a", "b": 2, "c": "c"}


def test_nothing_is_begun_when_time_is_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path / "a.jsonl")
    work(["a", "b"], journal, lambda key: key, until=time.time() - 1)
    assert journal.answers == {}
    assert "time is up: 2 of 2 left" in capsys.readouterr().out


def test_what_kills_or_blocks_a_worker_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    program = WORKER.format(root=str(Path(__file__).parents[2]), path=str(path))
    supervise([sys.executable, "-c", program], KEYS, path, patience=0.6, until=float("inf"))
    journal = Journal(path)
    assert journal.answers == {
        "plain": ["one", "bad", "two"],
        "deadly": ["one", "two"],
        "endless": ["one", "two"],
        "stepless": {"failed": "ended with exit code 9"},
        "last": ["one", "bad", "two"],
    }
    assert journal.deaths["deadly"] == {"bad": "ended with exit code 7"}
    assert journal.deaths["endless"] == {"bad": "said nothing for 1 s"}


def test_a_worker_that_cannot_begin_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with exit code 3 before it began anything"):
        supervise([sys.executable, "-c", "exit(3)"], ["a"], tmp_path / "a.jsonl", patience=5, until=float("inf"))
