"""A benchmark by workers: the report is there after each measurement, and a second run goes on."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import gpu_run, harness
from benchmarks.gpu_run import Bench, run_bench
from benchmarks.journal import Journal


def options(folder: Path, *, worker: bool = False) -> argparse.Namespace:
    return argparse.Namespace(
        measured=folder / "m.jsonl", out=folder, worker=worker, until=math.inf, minutes=math.inf,
        arguments=["--device", "cuda"],
    )  # fmt: skip


def bench(measure: Callable[[Journal, str], object], drawn: list[Path]) -> Bench:
    return Bench(
        module="benchmarks.some",
        what="some",
        device="cpu",
        keys=["a", "b"],
        measure=measure,
        report=lambda head, answers: f"{head}\n{dict(answers)}",
        patience=5,
        draw=lambda answers, path: drawn.append(path),
    )


def test_a_worker_writes_the_report_after_each_answer(tmp_path: Path) -> None:
    def measure(journal: Journal, key: str) -> str:
        if key == "b":
            (report,) = tmp_path.glob("some_cpu-1-thread_*.md")
            assert "{'a': 'A'}" in report.read_text()
        return key.upper()

    run_bench(bench(measure, []), options(tmp_path, worker=True))
    (report,) = tmp_path.glob("*.md")
    assert "{'a': 'A', 'b': 'B'}" in report.read_text()


def test_the_run_starts_workers_with_its_own_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []

    def supervise(command: list[str], keys: list[str], path: Path, **_: object) -> None:
        commands.append(command)
        Journal(path).answer("a", 1)

    monkeypatch.setattr(gpu_run, "supervise", supervise)
    drawn: list[Path] = []
    run_bench(bench(lambda journal, key: 0, drawn), options(tmp_path))
    run_bench(bench(lambda journal, key: 0, drawn), options(tmp_path))
    assert commands[0][1:] == [
        "-m", "benchmarks.some", "--device", "cuda", "--measured", str(tmp_path / "m.jsonl"), "--worker",
        "--until", "inf",
    ]  # fmt: skip
    assert "2 measurements, 1 of them in" in capsys.readouterr().out
    assert drawn[0].suffix == ".png"
    assert "- date: " in Journal(tmp_path / "m.jsonl").head


def test_outside_a_checkout_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_git(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr("subprocess.run", no_git)
    assert "commit unknown\n" in harness.environment()


def test_a_gpu_has_a_name_that_a_file_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.get_device_name", lambda *_: "NVIDIA H200 (141 GB)")
    assert harness.hardware("cuda") == "nvidia-h200-141-gb"
    assert "machine: NVIDIA H200 (141 GB), CUDA" in harness.environment("cuda")
