"""R22 and R23: a training that goes on for hours, and one on a machine that others use too."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lambdanets.training.folder import RunFolder
from lambdanets.training.journal import read_journal

SOAK = """
import json, os, sys, time
from pathlib import Path
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.host import Watcher
from lambdanets.training.override import with_assignments
from lambdanets.training.run import begin_run, prepare_run, train_run

path, minutes, steps = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
settings = ["batch_size=8", f"epochs={steps * 8 / 1287}", "num_threads=1", "checkpoint.every_steps=50"]
settings += [f"judge_every_epochs={50 * 8 / 1287}"]
run = prepare_run(with_assignments(find_recipe("digits"), settings))
folder = begin_run(run, path)
page = os.sysconf("SC_PAGESIZE")

def look(record):
    if record["event"] == "step" and record["step"] % 50 == 25:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
        print(json.dumps([record["step"], resident, len(os.listdir("/proc/self/fd")), time.process_time()]), flush=True)

train_run(run, folder, Watcher(show=look, max_seconds=60 * minutes))
"""
FORMS = [pytest.param(10, 20_000, id="ten-minutes"), pytest.param(240, 20_000, id="four-hours")]


@pytest.mark.soak
@pytest.mark.timeout(5 * 3600)
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("minutes", "steps"), FORMS)
def test_a_soak_leaks_nothing_and_slows_down_by_nothing(tmp_path: Path, minutes: float, steps: int) -> None:
    command = [sys.executable, "-c", SOAK, str(tmp_path / "run"), str(minutes), str(steps)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    step, resident, files, cpu_seconds = np.array([json.loads(line) for line in said.splitlines()]).T[:, 4:]
    assert len(step) >= 20, "too few steps to say anything"
    growth = np.polyfit(step, resident / 2**20, 1)[0] * 1000
    drift = drift_of(step, cpu_seconds)
    print(f"\n{step[-1]:.0f} steps: {growth:+.2f} MiB per 1000 steps, {files[0]:.0f} files, step time {drift:+.1%}")
    assert growth <= 1
    assert files.max() == files.min()
    assert abs(drift) <= 0.05


def drift_of(step: np.ndarray, cpu_seconds: np.ndarray) -> float:
    """How much longer a step takes in the last third than in the first, in CPU time, by the median."""
    each = np.diff(cpu_seconds) / np.diff(step)
    third = len(each) // 3
    return float(np.median(each[-third:]) / np.median(each[:third]) - 1)


BURN = "import torch; torch.set_num_threads(2); x = torch.randn(512, 512)\nwhile True: x = (x @ x).tanh()"


@pytest.mark.faults
def test_two_other_jobs_leave_a_fifth_of_the_speed(tmp_path: Path) -> None:
    """Each with as many threads as this machine has cores, or two."""
    alone = images_per_second(tmp_path / "alone")
    others = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(2)]
    try:
        time.sleep(10)
        crowded = images_per_second(tmp_path / "crowded")
        assert [other.poll() for other in others] == [None, None], "the others must have been there all the time"
    finally:
        for other in others:
            other.kill()
            other.wait()
    print(f"\n{alone:.0f} images/s alone, {crowded:.0f} in the crowd: {crowded / alone:.0%}")
    assert crowded >= 0.2 * alone


def images_per_second(path: Path) -> float:
    """Of 60 steps with two threads, after the first ten."""
    settings = ["batch_size=64", f"epochs={60 * 64 / 1287}", "num_threads=2"]
    words = ["train", "digits", "--out", str(path), *(word for setting in settings for word in ("--set", setting))]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    subprocess.run([sys.executable, "-m", "lambdanets", *words], check=True, capture_output=True, env=environment)
    steps = [record for record in read_journal(RunFolder(path).metrics) if record["event"] == "step"][10:]
    return 64 * len(steps) / sum(float(record["seconds"] or 0) for record in steps)
