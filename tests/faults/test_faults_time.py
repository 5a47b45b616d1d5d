"""R25: a run that may take only so long, whatever the clock on the wall says."""

import time
from pathlib import Path

import pytest
from served import steps_kept

from lambdanets.cli import main
from lambdanets.training.checkpoint import list_checkpoints
from lambdanets.training.folder import RunFolder

LONG = [word for setting in ("batch_size=8", "epochs=1000", "num_threads=1") for word in ("--set", setting)]


def check_time_box(path: Path, seconds: float, spare: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is set back by an hour while it runs: each look at it says so from the second one on."""
    looks, truth = [0], time.time
    began = time.monotonic()

    def set_back() -> float:
        looks[0] += 1
        return truth() - (3600 if looks[0] > 2 else 0)

    monkeypatch.setattr(time, "time", set_back)
    assert main(["train", "digits", "--out", str(path), *LONG, "--max-time", f"{seconds:g}s"]) == 85
    assert time.monotonic() - began < seconds + spare
    taken, kept = steps_kept(path)
    assert taken == kept
    assert list_checkpoints(RunFolder(path).checkpoints)


def test_the_time_is_up_after_five_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where loading takes longer than that, on a machine that is busy with other tests."""
    check_time_box(tmp_path / "run", 5, 30, monkeypatch)


@pytest.mark.faults
def test_the_time_is_up_after_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_time_box(tmp_path / "run", 60, 3, monkeypatch)
