"""Runs a benchmark by workers, and keeps its report up to date: what is measured is on disk whatever happens next."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.harness import code_version, environment, hardware, write_report
from benchmarks.journal import Answer, Journal, supervise, work

GPU_TESTS = "tests/ops/test_ops_triton_gpu.py"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A benchmark whose keys a worker answers one by one."""

    module: str
    """`python -m` this, with the same arguments and two more, is a worker."""
    what: str
    """The report's name."""
    device: str
    keys: Sequence[str]
    measure: Callable[[Journal, str], Answer]
    report: Callable[[str, Mapping[str, Answer]], str]
    """(where and when, answers) → Markdown."""
    patience: float
    """Seconds in which a worker has to get on."""
    draw: Callable[[Mapping[str, Answer], Path], object] = lambda answers, path: None
    """Draws the answers into a file; not called where there are none."""


def run_bench(bench: Bench, options: argparse.Namespace) -> None:
    """Be the worker if asked to, else start workers until all is answered; the report is written either way."""
    version = f"{bench.what}_{hardware(bench.device)}_{code_version()}.jsonl"
    path = options.measured or Path("runs") / version
    journal = Journal(path)
    if options.worker:
        torch.manual_seed(0)
        ask, update = (lambda key: bench.measure(journal, key)), (lambda: _write(bench, journal, options.out))
        work(bench.keys, journal, ask, until=options.until, after=update)
        return
    journal.describe(environment(bench.device))
    done = sum(key in journal.answers for key in bench.keys)
    print(f"{len(bench.keys)} measurements, {done} of them in {path} already", flush=True)
    until = time.time() + 60 * options.minutes
    command = [sys.executable, "-m", bench.module, *options.arguments, "--measured", str(path)]
    supervise([*command, "--worker", "--until", str(until)], bench.keys, path, patience=bench.patience, until=until)
    journal = Journal(path)
    written = _write(bench, journal, options.out)
    if journal.answers:
        bench.draw(journal.answers, written.with_suffix(".png"))
    print(written.read_text(encoding="utf-8"))
    print(f"wrote {written}; measurements are in {path}", flush=True)


def _write(bench: Bench, journal: Journal, folder: Path) -> Path:
    return write_report(bench.what, bench.report(journal.head, journal.answers), device=bench.device, folder=folder)
