"""R6: signals at every place of a run, a second one, a closed terminal, a closed pipe, a storm; no step is lost."""

import random
import signal
import time
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from served import FaultServer, fault, fingerprint, steps_kept

from lambdanets.cli.forked import Ended
from lambdanets.data.loader import LoaderConfig, Request, load_batches

STEPS = 12
SETTINGS = ["batch_size=8", f"epochs={STEPS * 8 / 1287}", "num_threads=1", "checkpoint.every_steps=2"]
JUDGED = "judge_every_epochs=0.035"
CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGHUP": 129, "SIGUSR1": 85}
PLACES = {
    "data: wait": 5,
    "step: forward": 5,
    "step: backward": 5,
    "step: update": 5,
    "judge: forward": 10,
    "save: mid-write": 9,
}
"""The how-manieth time that a place is reached is in the middle of the run."""
EVERY = list(product(PLACES, CODES))
SAMPLE = [
    ("data: wait", "SIGHUP"),
    ("step: update", "SIGUSR1"),
    ("judge: forward", "SIGTERM"),
    ("save: mid-write", "SIGINT"),
]
SECONDS = 10
"""That a run may take to save and end."""


class Runs:
    def __init__(self, server: FaultServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.undisturbed = cache(self._undisturbed)

    def _undisturbed(self, *settings: str) -> str:
        return fingerprint(self.server.train(self.folder / str(len(settings)), [*SETTINGS, *settings]))

    def command(self, path: Path, *settings: str, **order: object) -> Ended:
        words = [word for setting in [*SETTINGS, *settings] for word in ("--set", setting)]
        return self.server.command("train", "digits", "--out", path, *words, "--resume", **order)

    def check_resumes(self, path: Path, *settings: str) -> None:
        taken, kept = steps_kept(path)
        assert taken == kept, "no step is lost"
        assert 0 < taken < STEPS
        ended = self.server.train(path, [*SETTINGS, *settings])
        assert f"Resumed at step {taken} of {STEPS}." in ended.said
        assert fingerprint(ended) == self.undisturbed(*settings)


@pytest.fixture(scope="module")
def runs(server: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(server, tmp_path_factory.mktemp("undisturbed"))


def check_signal_at(runs: Runs, path: Path, place: str, name: str) -> None:
    settings = [JUDGED] if "judge" in place else []
    ended = runs.command(path, *settings, faults=[fault(place, f"signal {name}", at=PLACES[place])], limit=60)
    assert ended.code == CODES[name], ended.said
    assert "To continue:\nlambdanets train digits --out" in ended.said
    assert "Traceback" not in ended.said
    runs.check_resumes(path, *settings)


@pytest.mark.parametrize(("place", "name"), SAMPLE)
def test_a_signal_anywhere_saves_and_ends_with_its_code(runs: Runs, tmp_path: Path, place: str, name: str) -> None:
    check_signal_at(runs, tmp_path / "run", place, name)


@pytest.mark.faults
@pytest.mark.parametrize(("place", "name"), EVERY)
def test_every_signal_everywhere_saves_and_ends_with_its_code(
    runs: Runs, tmp_path: Path, place: str, name: str
) -> None:
    check_signal_at(runs, tmp_path / "run", place, name)


@pytest.mark.parametrize("name", ["SIGTERM"])
def test_a_second_signal_ends_at_once_with_the_old_checkpoint_good(runs: Runs, tmp_path: Path, name: str) -> None:
    twice = [fault("step: backward", action, at=6) for action in (f"signal {name}", "sleep 0.1", f"signal {name}")]
    ended = runs.command(tmp_path / "run", faults=[*twice, fault("step: backward", "sleep 60", at=6)])
    assert ended.code == -signal.Signals[name]
    assert ended.seconds < SECONDS
    assert steps_kept(tmp_path / "run") == (5, 4)
    assert fingerprint(runs.server.train(tmp_path / "run", SETTINGS)) == runs.undisturbed()


def words_of(path: Path) -> list[str]:
    return ["train", "digits", "--out", str(path), *(word for setting in SETTINGS for word in ("--set", setting))]


def test_a_closed_terminal_saves_and_ends(runs: Runs, tmp_path: Path) -> None:
    give = {"words": words_of(tmp_path / "run"), "lines": 4}
    slow = fault("step: forward", "sleep 0.1", times=99)
    (ended,) = runs.server.obey_all("on_terminal", give, faults=[slow])
    assert ended.code == CODES["SIGHUP"], ended.said
    runs.check_resumes(tmp_path / "run")


def test_a_closed_pipe_stops_no_run_and_no_signal_is_missed(runs: Runs, tmp_path: Path) -> None:
    give = {"words": words_of(tmp_path / "run")}
    asked = fault("step: forward", "signal SIGTERM", at=7)
    (ended,) = runs.server.obey_all("into_closed_pipe", give, faults=[asked])
    assert ended.code == CODES["SIGTERM"], ended.said
    runs.check_resumes(tmp_path / "run")


class Sleeping:
    """A make that takes for ever."""

    def __call__(self, request: Request) -> int:
        time.sleep(600)
        return 0


def test_a_wait_for_data_ends_when_it_is_told_to() -> None:
    began, ask = time.monotonic(), Request(0, np.zeros(1, np.int64), np.zeros(1, np.int64))
    asked = began + 0.5
    batches = load_batches(
        Sleeping(),
        lambda first: iter([ask]),
        0,
        LoaderConfig(workers=1),
        pin=False,
        warn=pytest.fail,
        stopped=lambda: time.monotonic() > asked,
    )
    with pytest.raises(InterruptedError):
        next(batches)
    assert time.monotonic() - began < 60, "with what the process that workers are forked from takes to start"


STORM_STEPS = 150
STORM = [
    *SETTINGS[:1],
    f"epochs={STORM_STEPS * 8 / 1287}",
    *SETTINGS[2:],
    "judge_every_epochs=0.05",
    "loader.workers=2",
]


@pytest.mark.faults
def test_a_storm_of_sixty_signals_loses_no_step(server: FaultServer, tmp_path: Path) -> None:
    dice, path = random.Random(0), tmp_path / "run"
    expected = fingerprint(server.train(tmp_path / "undisturbed", STORM, limit=900))
    sent, graceful, finished = 0, 0, 0
    while sent < 60:
        words = [word for setting in STORM for word in ("--set", setting)]
        name, second = dice.choice(list(CODES)), dice.random() < 0.25
        signals = [(dice.uniform(0.05, 1.5), name), *[(0.1, name)] * second]
        ended = server.command("train", "digits", "--out", path, *words, "--resume", signals=signals, limit=300)
        sent += len(signals)
        assert ended.code in (0, CODES[name], -signal.Signals[name]), ended.said
        assert "Traceback" not in ended.said
        taken, kept = steps_kept(path) if path.exists() else (0, 0)
        assert 0 <= taken - kept <= 2, "at most the steps since the last checkpoint, where a second signal came"
        assert taken == kept or ended.code < 0
        graceful += ended.code > 0
        if ended.code == 0:
            finished += 1
            path = tmp_path / f"run-{finished}"
    print(f"\n{sent} signals; {graceful} saved and ended, {finished} came after the last step")
    assert graceful >= 30
    assert fingerprint(server.train(path, STORM, limit=900)) == expected
