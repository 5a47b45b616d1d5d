"""Event files: what TensorBoard reads of them is what metrics.jsonl says; without it the run is refused at once."""

import importlib.util
from pathlib import Path

import pytest

from lambdanets.cli import main
from lambdanets.training.journal import read_journal
from lambdanets.training.tensorboard import EventLog

pytest.importorskip("tensorboard")
SHORT = ("--set", "epochs=0.15", "--set", "num_threads=1")


def read_scalars(path: Path) -> dict[str, dict[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(path))
    events.Reload()
    return {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}


def test_event_files_say_what_the_journal_says(tmp_path: Path) -> None:
    assert main(["train", "digits", "--out", str(tmp_path / "run"), *SHORT, "--set", "log.tensorboard=true"]) == 0
    steps = [record for record in read_journal(tmp_path / "run" / "metrics.jsonl") if record["event"] == "step"]
    scalars = read_scalars(tmp_path / "run" / "tensorboard")
    assert {"step/loss", "step/learning_rate", "step/gradient_norm", "step/memory_mib"} <= scalars.keys()
    assert len(steps) == 3
    for name in ("loss", "gradient_norm", "seconds"):
        assert scalars[f"step/{name}"] == {int(r["step"]): pytest.approx(r[name], rel=1e-6) for r in steps}  # type: ignore[arg-type]


def test_a_run_that_did_not_ask_has_no_event_files(trained_run: Path) -> None:
    assert not (trained_run / "tensorboard").exists()


def test_a_resumed_run_takes_back_what_it_takes_again(tmp_path: Path) -> None:
    first, second = EventLog(tmp_path, pytest.fail), EventLog(tmp_path, pytest.fail)
    for step in (1, 2, 3):
        first.append({"event": "step", "step": step, "loss": float(step)})
    first.close()
    for step in (2, 3):
        second.append({"event": "step", "step": step, "loss": 10.0 * step, "note": "no number", "nothing": None})
    second.close()
    assert read_scalars(tmp_path) == {"step/loss": {1: 1.0, 2: 20.0, 3: 30.0}}


def test_a_disk_without_room_ends_the_events_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("in the way")
    told: list[str] = []
    log = EventLog(tmp_path / "tensorboard", told.append)
    for step in (1, 2):
        log.append({"event": "step", "step": step, "loss": 1.0})
    log.close()
    assert len(told) == 1
    assert "metrics.jsonl goes on" in told[0]


def test_without_tensorboard_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "lambdanets.training.tensorboard.find_spec", lambda name: None if name == "tensorboard" else found(name)
    )
    with pytest.raises(SystemExit, match="2"):
        main(["train", "digits", "--out", str(tmp_path / "run"), *SHORT, "--set", "log.tensorboard=true"])
    assert "pip install 'lambdanets[log]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
