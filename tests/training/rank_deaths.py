"""Trainings by torchrun in which one of several processes dies or hangs at a random moment, and what comes of it.

    python tests/training/rank_deaths.py --runs 30 --seed 0

prints a table, one line a run. Times are of the machine as it is: two processes share its cores.
"""

import argparse
import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lambdanets.faults import Fault, write_plan

STEPS = 8
TIMEOUT = 240.0
"""Seconds after which a training is given up."""
TRAINING = ["batch_size=12", f"epochs={STEPS * 12 / 1287}", "model_options.dim_key=4"]
TRAINING += ["num_threads=1", "checkpoint.every_steps=3", f"judge_every_epochs={4 * 12 / 1287}"]
SETTINGS = [word for setting in TRAINING for word in ("--set", setting)]
ACTIONS = {"kill": "kill -9", "raise RuntimeError": "exception", "exit 0": "exit(0)", "stop": "hang (SIGSTOP)"}
PLACES = {  # and how often one is reached at least, on each process
    "step: forward": STEPS,
    "step: backward": STEPS,
    "step: update": STEPS,
    "ranks: gradients": STEPS,
    "ranks: sum": 2 * STEPS,
    "judge: forward": 20,
    "save: mid-write": 100,
    "save: before rename": 3,
}
BACK = re.compile(r"step \d+/|test accuracy")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training went in which a process was lost."""

    exit_code: int
    struck: bool
    found_seconds: float
    """From the fault until it was told which process it was."""
    back_seconds: float
    """From the fault until a step was done again."""
    named: bool
    """Whether the right process was named."""
    weights: str
    """The sum of the finished weights."""
    words: str
    """All that was said."""


def train(folder: Path, count: int, fault: Fault | None = None) -> Outcome:
    """As many processes as asked for, started by torchrun; `fault` needs a mark."""
    plan = write_plan([] if fault is None else [fault])
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), "--max-restarts", "3"]
    command += ["-m", "lambdanets.faults", plan, "--", "train", "digits", "--out", str(folder), *SETTINGS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert process.stdout is not None
    limit = threading.Timer(TIMEOUT, process.terminate)
    limit.start()
    with process.stdout:
        lines = [(time.time(), line) for line in process.stdout]
    limit.cancel()
    weights = folder / "weights.safetensors"
    return _outcome(lines, process.wait(), fault, weights)


def _outcome(lines: list[tuple[float, str]], exit_code: int, fault: Fault | None, weights: Path) -> Outcome:
    mark = Path(fault.mark) if fault else Path()
    struck = mark.stat().st_mtime if fault and mark.exists() else float("nan")
    again = next((when for when, line in lines if "started again" in line), float("nan"))
    back = next((when for when, line in lines if when > again and BACK.search(line)), float("nan"))
    told = next((when for when, line in lines if fault and f"lambdanets: rank {fault.rank} " in line), float("nan"))
    return Outcome(
        exit_code=exit_code,
        struck=struck == struck,
        found_seconds=told - struck,
        back_seconds=back - struck,
        named=told == told,
        weights=hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else "",
        words="".join(line for _, line in lines),
    )


def random_fault(dice: random.Random, number: int, count: int, mark: Path) -> Fault:
    """Every action in turn, at any place, the n-th time, on any process."""
    action = list(ACTIONS)[number % len(ACTIONS)]
    place = dice.choice(list(PLACES))
    rank = 0 if place.startswith("save") else dice.randrange(count)
    return Fault(place=place, action=action, at=dice.randint(1, PLACES[place]), rank=rank, mark=str(mark))


@dataclass(frozen=True)
class Row:
    """One run of the table."""

    count: int
    fault: Fault
    outcome: Outcome
    same: bool
    """Whether the weights are those of an undisturbed run, bit for bit."""

    @property
    def is_well(self) -> bool:
        """Whether it is as R7 wants it."""
        outcome = self.outcome
        told = outcome.struck and outcome.named and outcome.found_seconds <= 30
        return told and self.same and outcome.exit_code == 0 and outcome.back_seconds <= 60

    def __str__(self) -> str:
        """A line of Markdown."""
        fault, outcome = self.fault, self.outcome
        cells = [self.count, ACTIONS[str(fault.action)], fault.place, fault.rank, fault.at]
        cells += [f"{outcome.found_seconds:.1f}", f"{outcome.back_seconds:.1f}"]
        return " | ".join(["", *map(str, cells), *("yes" if so else "NO" for so in (outcome.named, self.same)), ""])


HEADER = """ | ranks | what | where | rank | time | told after, s | back after, s | named | same weights |
 |--:|---|---|--:|--:|--:|--:|---|---|"""


def random_deaths(root: Path, runs: int, seed: int, lanes: int) -> Iterator[Row]:
    """Trainings with a random fault each, `lanes` of them at a time."""
    dice = random.Random(seed)
    undisturbed = {count: train(root / f"undisturbed-{count}", count).weights for count in (2, 3)}
    counts = [2 if number % 3 else 3 for number in range(runs)]
    faults = [random_fault(dice, number, count, root / f"mark-{number}") for number, count in enumerate(counts)]
    with ThreadPoolExecutor(lanes) as pool:
        outcomes = pool.map(lambda number: train(root / f"run-{number}", counts[number], faults[number]), range(runs))
        for count, fault, outcome in zip(counts, faults, outcomes, strict=True):
            yield Row(count, fault, outcome, outcome.weights == undisturbed[count] != "")


def main() -> None:
    """Print the table as it grows; what was said in a run that did not go well goes to standard error."""
    options = argparse.ArgumentParser()
    for name, default in (("--runs", 30), ("--seed", 0), ("--lanes", 1)):
        options.add_argument(name, type=int, default=default)
    chosen = options.parse_args()
    print(HEADER, flush=True)
    good = 0
    with tempfile.TemporaryDirectory() as folder:
        for row in random_deaths(Path(folder), chosen.runs, chosen.seed, chosen.lanes):
            print(row, flush=True)
            good += row.is_well
            if not row.is_well:
                print(f"exit code {row.outcome.exit_code}\n{row.outcome.words}", file=sys.stderr, flush=True)
    print(f"\n{good} of {chosen.runs} as wanted.")


if __name__ == "__main__":
    main()
