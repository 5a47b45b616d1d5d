"""The watchdog alone: who is told what about a process that ends, fails, or is silent. Beats are short here."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from lambdanets.training import watchdog as module
from lambdanets.training.line import LOOPBACK, call
from lambdanets.training.member import Member
from lambdanets.training.watchdog import EXIT_LOST, Watchdog, watched


class Party:
    """Several watchdogs in this one process, each with what it told and whether it would have ended its process."""

    def __init__(self, count: int) -> None:
        self.count, self.told, self.ended = count, [[] for _ in range(count)], [threading.Event() for _ in range(count)]
        self._members: list[Member | None] = [None] * count
        self._meeting = threading.Barrier(count)
        self.dogs: list[Watchdog | None] = [None] * count
        starts = [threading.Thread(target=self._start, args=(rank,)) for rank in range(count)]
        for start in starts:
            start.start()
        for start in starts:
            start.join(10)
        assert None not in self.dogs

    def _start(self, rank: int) -> None:
        def gather(mine: Member) -> list[Member]:
            self._members[rank] = mine
            self._meeting.wait(10)
            return [member for member in self._members if member is not None]

        self.dogs[rank] = Watchdog(rank, LOOPBACK, gather, tell=self.told[rank].append, end=self.ended[rank].set)

    def __getitem__(self, rank: int) -> Watchdog:
        dog = self.dogs[rank]
        assert dog is not None
        return dog


@pytest.fixture(autouse=True)
def _short_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT", 0.2)
    monkeypatch.setattr(module, "SILENCE", 8)
    monkeypatch.setattr(module, "GRACE", 0.3)


@pytest.fixture
def three() -> Iterator[Party]:
    party = Party(3)
    with ExitStack() as held:
        for dog in party.dogs:
            assert dog is not None
            held.callback(dog.close)
        yield party


def test_processes_that_live_are_left_alone(three: Party) -> None:
    assert not any(three[rank].has_lost(within=1.0) for rank in range(3))
    assert three.told == [[], [], []]


@pytest.mark.parametrize("rank", [0, 2])
def test_one_that_ends_without_a_word_is_named_once_and_all_others_end(three: Party, rank: int) -> None:
    three[rank].close()
    others = {0, 1, 2} - {rank}
    assert all(three[other].has_lost(within=5) for other in others)
    assert all(three.ended[other].wait(5) for other in others)
    told = [words for other in sorted(others) for words in three.told[other]]
    assert len(told) == 1
    assert told[0].startswith(f"rank {rank} (process ")
    assert "ended without a word" in told[0]


def test_one_that_fails_is_told_with_its_reason(three: Party) -> None:
    with pytest.raises(KeyError), watched(three[1]):
        raise KeyError("a | b\nof two lines")
    assert all(three[other].has_lost(within=5) for other in (0, 2))  # the first one passes it on, then tells
    assert three.told[1:] == [[], []]
    assert len(three.told[0]) == 1
    assert "failed: KeyError: 'a | b\\nof two lines'" in three.told[0][0]


def test_one_that_is_done_is_not_missed(three: Party) -> None:
    for rank in (1, 0, 2):
        with watched(three[rank]):
            pass
        three[rank].close()
    assert three.told == [[], [], []]
    assert not any(ended.is_set() for ended in three.ended)


def test_an_error_that_follows_from_the_loss_of_another_is_no_failure(three: Party) -> None:
    three[2].close()
    with pytest.raises(SystemExit) as ending, watched(three[1]):
        raise RuntimeError("Connection closed by peer")
    assert ending.value.code == EXIT_LOST
    with pytest.raises(ZeroDivisionError), watched(three[0]):
        raise ZeroDivisionError


@pytest.fixture
def silent() -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("machine", ["this one", "another"])
def test_a_silent_one_is_ended_if_it_runs_on_this_machine(silent: subprocess.Popen, machine: str) -> None:
    told: list[str] = []
    lines = []

    def gather(mine: Member) -> list[Member]:
        for secret in ("a guess", mine.secret):  # accepted later, from the backlog
            lines.append(call(LOOPBACK, mine.port, secret, 1))
        started = Path(f"/proc/{silent.pid}/stat").read_text().rpartition(")")[2].split()[19]
        other = replace(mine, rank=1, pid=silent.pid, started=started)
        return [mine, other if machine == "this one" else replace(other, machine="elsewhere")]

    ended = threading.Event()
    began = time.monotonic()
    dog = Watchdog(0, LOOPBACK, gather, tell=told.append, end=ended.set)
    try:
        assert dog.has_lost(within=20)
        assert time.monotonic() - began > 8 * 0.2
        assert ended.wait(5)
    finally:
        dog.close()
        for line in lines:
            line.close()
    assert f"rank 1 (process {silent.pid} on " in told[0]
    assert ("it was ended" in told[0]) == (machine == "this one")
    assert (silent.poll() is None) == (machine == "another") or silent.wait(5) == -9


def test_a_first_process_that_cannot_be_reached_is_told_with_the_way_out() -> None:
    with pytest.raises(
        ConnectionError, match=r"rank 3 cannot reach the first process at 127.0.0.1, port 1 .*free ports"
    ):
        call(LOOPBACK, 1, "a secret", 3)


def test_a_process_that_does_not_call_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELLO_SECONDS", 0.2)
    with pytest.raises(TimeoutError, match=r"ranks \[1\] have not called"):
        Watchdog(0, LOOPBACK, lambda mine: [mine, replace(mine, rank=1)])
