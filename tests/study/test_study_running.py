"""Pieces run once, whatever ends a study; an answer that cannot stand beside the others is found out again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lambdanets.study import running
from lambdanets.study.answers import Drawer, check_keys
from lambdanets.study.estimate import Estimate
from lambdanets.study.part import Piece, StudyOptions
from lambdanets.study.running import find_out, plan
from lambdanets.study.shown import Shown
from lambdanets.study.stamp import stamp_now


@dataclass
class Asked:
    """A part that counts how often its pieces are asked."""

    works: dict[str, Callable[[], object]]
    beside: bool = False
    name: str = "asked"
    title: str = "Asked"
    calls: list[str] = field(default_factory=list)

    def pieces(self, options):
        return [Piece(key=key, seconds=1.0, work=self._work(key), beside=self.beside) for key in self.works]

    def _work(self, key):
        def work():
            self.calls.append(key)
            return {"found": self.works[key]()}

        return work

    def shown(self, options, answers):
        return Shown(title=self.title, summary=[str(sorted(answers))])


class Nobody:
    """Looks on and keeps what it was told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []

    def begin(self, part, piece):
        self.begun.append(piece.key)

    def end(self, part, piece):
        self.ended.append(piece.key)


def fail() -> object:
    raise ZeroDivisionError("of course")


def run(part, options, watcher=None):
    kept = find_out(plan(part, options), options, watcher or Nobody())
    return {key: found.answer["found"] for key, found in kept.items()}


@pytest.fixture
def options(tmp_path) -> StudyOptions:
    return StudyOptions(folder=tmp_path / "study")


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside"])
def test_a_piece_is_not_run_twice(options, beside):
    part = Asked({"a": lambda: 1, "b": lambda: [1.5, None], "c": lambda: "x"}, beside)
    first = run(part, options)
    assert first == {"a": 1, "b": [1.5, None], "c": "x"}
    assert sorted(part.calls) == ["a", "b", "c"]
    assert run(part, options) == first
    assert len(part.calls) == 3


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside"])
def test_a_failing_piece_is_named_and_the_others_stay(options, beside):
    part = Asked({"a": lambda: 1, "bad": fail, "c": lambda: 3}, beside)
    with pytest.raises(ZeroDivisionError) as error:
        run(part, options)
    assert "the piece bad of the part asked" in "".join(error.value.__notes__)
    assert json.loads(Drawer.of(part, options).file("a").read_text())["answer"] == {"found": 1}
    part.works["bad"] = lambda: 2
    assert run(part, options) == {"a": 1, "bad": 2, "c": 3}
    assert part.calls.count("a") == 1


def test_a_value_error_names_its_piece_in_one_sentence(options):
    def refuse():
        raise ValueError("got 3, wanted 4.")

    with pytest.raises(ValueError, match=r"^asked, a: got 3, wanted 4\.$"):
        run(Asked({"a": refuse}), options)


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_keeps_what_is_answered(options):
    part = Asked({"a": lambda: 1, "b": lambda: signal.raise_signal(signal.SIGINT)})
    with pytest.raises(KeyboardInterrupt):
        run(part, options)
    part.works["b"] = lambda: 2
    assert run(part, options) == {"a": 1, "b": 2}
    assert part.calls == ["a", "b", "b"]


KILLED = """
import sys, time
from pathlib import Path
from lambdanets.study.part import Piece, StudyOptions
from lambdanets.study.running import find_out, plan

class Part:
    name, title = "asked", "Asked"
    def pieces(self, options):
        return [Piece(key=key, seconds=1, work=work) for key, work in (("a", first), ("b", second))]
    def shown(self, options, answers): ...

class Nobody:
    begin = end = staticmethod(lambda part, piece: None)

def first(): return {"found": 1}
def second(): print("second", flush=True); time.sleep(60)

options = StudyOptions(folder=Path(sys.argv[1]))
find_out(plan(Part(), options), options, Nobody())
"""


def test_a_study_that_is_killed_goes_on(options):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(options.folder)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"second\n"
    process.kill()
    process.communicate()
    part = Asked({"a": lambda: "again", "b": lambda: 2})
    assert run(part, options) == {"a": 1, "b": 2}
    assert part.calls == ["b"]


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_processes_of_pieces(options, monkeypatch):
    monkeypatch.setattr(running, "hands", lambda: 2)
    started: list[subprocess.Popen[bytes]] = []

    def wait():
        process = subprocess.Popen(["sleep", "60"])
        started.append(process)
        if len(started) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return process.wait()

    with pytest.raises(KeyboardInterrupt):
        run(Asked({"a": wait, "b": wait, "c": wait}, beside=True), options)
    assert [process.wait(timeout=5) for process in started] == [-signal.SIGTERM] * 2
    assert not Drawer.of(Asked({}), options).path.exists()


def test_two_pieces_stand_beside_each_other_and_no_more(options, monkeypatch):
    monkeypatch.setattr(running, "hands", lambda: 2)
    together, most, lock = 0, 0, threading.Lock()

    def meet():
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.05)
        with lock:
            together -= 1
        return 0

    run(Asked(dict.fromkeys("abcdef", meet), beside=True), options)
    assert most == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"machine": "another"}, "machine: another, not"),
        ({"torch": "1.0"}, "torch: 1.0, not"),
        ({"quick": True}, "found out with --quick"),
        ({"commit": "abc", "date": "1999-01-01T00:00:00"}, None),
    ],
    ids=["machine", "version", "quick", "commit"],
)
def test_what_cannot_stand_beside_the_others_is_told_and_found_out_again(options, change, reason):
    part = Asked({"a": lambda: 1})
    run(part, options)
    drawer = Drawer.of(part, options)
    kept = drawer.read("a")
    assert kept is not None
    drawer.keep("a", replace(kept, stamp=replace(kept.stamp, **change)))
    again = plan(part, options).again
    assert ("a" in again) == (reason is not None)
    assert reason is None or reason in again["a"]
    run(part, options)
    assert len(part.calls) == (1 if reason is None else 2)


def test_what_was_found_without_quick_serves_with_it(options):
    part = Asked({"a": lambda: 1})
    run(part, options)
    assert plan(part, replace(options, quick=True)).missing == []


@pytest.mark.parametrize("content", ["", "{", '{"answer": {}}', "[]"])
def test_a_file_that_cannot_be_read_is_found_out_again(options, content):
    part = Asked({"a": lambda: 1})
    run(part, options)
    Drawer.of(part, options).file("a").write_text(content)
    assert plan(part, options).again == {"a": "cannot be read"}
    assert run(part, options) == {"a": 1}


def test_numbers_that_are_none_are_kept_as_none(options):
    assert run(Asked({"a": lambda: [float("nan"), {"x": float("inf")}, 0.1]}), options) == {
        "a": [None, {"x": None}, 0.1]
    }


@pytest.mark.parametrize("keys", [["a/b"], [""], ["../up"], ["a", "A"], ["a", "a"]])
def test_keys_that_cannot_name_files_are_refused(keys: Sequence[str]):
    pieces = [Piece(key=key, seconds=1, work=dict) for key in keys]
    with pytest.raises(ValueError, match="asked: got"):
        check_keys(Asked({}), pieces)


def test_the_stamp_tells_where_we_are(options):
    stamp = stamp_now(options)
    assert stamp.why_not_ours(stamp) is None
    assert stamp.machine
    assert Path(__file__).parents[2].joinpath(".git").exists() == (stamp.commit is not None)


def test_the_time_left_follows_what_pieces_took():
    clock = [0.0]
    slow = [Piece(key=str(n), seconds=10, work=dict) for n in range(3)]
    quick = [Piece(key=str(n), seconds=10, work=dict, beside=True) for n in range(4)]
    estimate = Estimate({"slow": slow, "quick": quick}, hands=2, now=lambda: clock[0])
    assert estimate.seconds_left() == 30 + 20
    estimate.begin("slow", slow[0])
    clock[0] += 5
    assert estimate.seconds_left() == 45
    clock[0] += 100
    assert estimate.seconds_left() == 40  # longer than was guessed: it may end at any moment
    estimate.end("slow", slow[0])
    left = estimate.seconds_left()
    assert 20 * 8 < left < 40 * 10.5
    for piece in slow[1:]:
        estimate.begin("slow", piece)
        clock[0] += 105
        estimate.end("slow", piece)
    assert estimate.seconds_left() < left
    assert estimate.done == 3
