"""Output that nobody reads: a closed pipe, a closed stream, a full disk."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import pytest

from lambdanets.cli import main

PROGRAM = f"{shlex.quote(sys.executable)} -c 'import sys; from lambdanets.cli import main; sys.exit(main())'"


def in_shell(command: str) -> subprocess.CompletedProcess[str]:
    words = ["bash", "-c", command.replace("lambdanets", PROGRAM, 1)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def nobody_listening() -> Iterator[None]:
    """A standard output whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, redirect_stdout(stream):
        yield


@pytest.mark.parametrize(
    "arguments", [["models", "lambda_tiny"], ["explain"], ["doctor", "--no-check"]], ids=lambda words: words[0]
)
def test_a_reader_that_goes_away_is_no_mistake(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with nobody_listening():
        code = main(arguments)
    assert code == 141
    assert capfd.readouterr().err == ""


def test_training_goes_on_when_nobody_listens(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--out", str(tmp_path / "run"), "--set", "epochs=0.1", "--set", "num_threads=1"]
    with nobody_listening():
        assert main(arguments) == 0
    assert (tmp_path / "run" / "report.html").exists()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("command", ["explain", "models lambda_tiny", "train digits --help", "--version"])
def test_a_pipe_to_a_program_that_reads_nothing(command: str) -> None:
    ended = in_shell(f"lambdanets {command} | true; echo ${{PIPESTATUS[0]}}")
    assert (ended.stdout.strip(), ended.stderr) == ("141", "")


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"], ids=["stdout", "both"])
def test_closed_streams(closed: str) -> None:
    ended = in_shell(f"lambdanets explain {closed}")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_mistake_with_closed_streams_still_has_its_exit_code() -> None:
    assert in_shell("lambdanets explain --scope 22 2>&-").returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_standard_output_is_told() -> None:
    ended = in_shell("lambdanets explain > /dev/full")
    assert ended.returncode == 1
    assert ended.stderr.startswith("lambdanets: ")
    assert len(ended.stderr.splitlines()) == 1
