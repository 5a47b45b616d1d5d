import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lambdanets.cli import main
from lambdanets.cli.selftest_faults import Injection, injections
from lambdanets.cli.selftest_runs import Bench, require
from lambdanets.faults import PLACES


def survived(bench: Bench, path: Path) -> str:
    assert path.parent.is_dir()
    assert not path.exists()
    return "resumed"


def lost(bench: Bench, path: Path) -> str:
    require(False, "two steps were lost")
    raise AssertionError


@pytest.fixture(autouse=True)
def without_trainings(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "real" not in request.node.name:
        monkeypatch.setattr(Bench, "begin", lambda self: None)


def test_the_table_says_what_happened(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = [
        Injection(name="a kill", try_it=survived),
        Injection(name="a long one", try_it=survived, only_long=True),
        Injection(name="rot", try_it=lost),
    ]
    monkeypatch.setattr("lambdanets.cli.selftest_faults.injections", lambda: chosen)
    assert main(["selftest", "--quick"]) == 1
    heading, first, second, _, last = capsys.readouterr().out.splitlines()
    assert heading.split() == ["injected", "seconds", "what", "happened"]
    assert first.split() == ["ok", "a", "kill", "0.0", "resumed"]
    assert second.split() == ["NO", "rot", "0.0", "two", "steps", "were", "lost"]
    assert last.startswith("1 of 2 came out as required")


def test_all_is_well_where_nothing_was_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "lambdanets.cli.selftest_faults.injections", lambda: [Injection(name="a kill", try_it=survived)]
    )
    assert main(["selftest"]) == 0
    assert "1 of 1 came out as required" in capsys.readouterr().out


def test_every_kind_of_fault_is_among_them() -> None:
    quick = [injection.name for injection in injections() if not injection.only_long]
    assert {f"SIGKILL, {place}" for place in PLACES if place.startswith("save: ")} <= set(quick)
    for words in ("SIGTERM", "disk full", "bit rot", "NaN", "out of memory", "data worker", "picture", "two processes"):
        assert any(words in name for name in quick), words
    assert len(injections()) > len(quick)


def test_what_outlives_its_terminal_is_not_told_of_its_end() -> None:
    assert "SIGHUP" in {injection.name for injection in injections()}
    told = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup has it
    try:
        assert "SIGHUP" not in {injection.name for injection in injections()}
    finally:
        signal.signal(signal.SIGHUP, told)


@pytest.mark.faults
@pytest.mark.parametrize("form", [["--quick"], []], ids=["quick", "long"])
def test_the_real_ones_come_out_as_required(form: list[str]) -> None:
    command = [sys.executable, "-m", "lambdanets", "selftest", *form]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout
