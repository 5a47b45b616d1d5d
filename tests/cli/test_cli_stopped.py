"""Ctrl-C and SIGTERM at any moment of a training: a line that says what is saved and how to go on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lambdanets.cli import main

CALL = ["train", "digits", "--set", "batch_size=16", "--set", "num_threads=1", "--set", f"epochs={3 * 16 / 1287}"]


def code_when(place: str, number: int, call: list[str]) -> object:
    """The exit code of a call in which the signal comes in place of a function."""

    def stop(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(1)  # the signal comes in between

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, stop)
        try:
            return main(call)
        except SystemExit as ended:
            return ended.code


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("lambdanets.cli.choice.prepare_run", "Stopped before anything was begun."),
        (
            "lambdanets.cli.choice.append_line",
            "Begun, no step saved yet. To continue:\nlambdanets train digits --out {}",
        ),
        ("lambdanets.cli.training.finish_run", "Saved at step 3. To continue:\nlambdanets train digits --out {}"),
        ("lambdanets.report.write.write_report", "to write its report:\nlambdanets evaluate {} --report"),
    ],
    ids=["prepare", "begin", "judge", "report"],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_stopped_outside_the_steps(
    place: str, words: str, number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [*CALL, "--out", str(tmp_path / "run")]
    before = signal.getsignal(number)
    assert code_when(place, number, call) == 128 + number
    shown = capsys.readouterr()
    assert words.format(tmp_path / "run") in shown.out
    assert shown.err == ""
    assert signal.getsignal(number) == before
    assert (tmp_path / "run").exists() == ("before anything" not in words)


def test_after_a_stop_while_it_was_judged_it_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = [*CALL, "--out", str(tmp_path / "run"), "--resume"]
    assert code_when("lambdanets.cli.training.finish_run", signal.SIGINT, call) == 130
    assert main(call) == 0
    assert "Resumed at step 3 of 3." in capsys.readouterr().out
    assert (tmp_path / "run" / "report.html").exists()


def test_stopped_while_it_starts(tmp_path: Path) -> None:
    """A process that is stopped as soon as it handles signals itself, which is while it loads torch."""
    program = "import sys; from lambdanets.cli import main; print('up', file=sys.stderr, flush=True); sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *CALL, "--out", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "Stopped before anything was begun.\n", "")
    assert not (tmp_path / "run").exists()
