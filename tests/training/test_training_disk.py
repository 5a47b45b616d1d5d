"""R2, R3, R4: a disk that is full, closed to us or rotting; what was saved stays, and what is wrong is noticed."""

import errno
import hashlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lambdanets.faults import armed
from lambdanets.training.checkpoint import PIECE, CheckpointConfig, load_newest, save_checkpoint
from lambdanets.training.saver import SaveFailedError, Saver

NOBODY = 65534
PIECES = 20
FLIPS, CUTS = 500, 100


def state(step: int, num_bytes: int = PIECES * PIECE) -> dict:
    return {"step": step, "model": {"weight": torch.full((num_bytes // 4,), float(step))}}


def sums(folder: Path) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def newest(folder: Path) -> int:
    loaded, complaints = load_newest(folder)
    assert loaded is not None, complaints
    assert (loaded["model"]["weight"] == loaded["step"]).all()
    return loaded["step"]


@pytest.mark.parametrize("percent", range(0, 100, 5))
@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT"])
def test_a_disk_that_is_full_after_a_part_of_the_file(tmp_path: Path, percent: int, name: str) -> None:
    told: list[str] = []
    saver = Saver(tmp_path / "checkpoints", CheckpointConfig(asynchronous=False), told.append)
    saver.save(1, state(1))
    before = sums(tmp_path)
    with armed("save: mid-write", f"raise {name}", at=1 + percent * PIECES // 100):
        saver.save(2, state(2))
    assert sums(tmp_path) == before
    reason = os.strerror(getattr(errno, name))
    assert told[0].startswith(
        f"{tmp_path}/checkpoints/step-00000002 could not be written: {reason} (5,242,880 bytes needed, "
    )
    saver.save(3, state(3))
    assert newest(tmp_path / "checkpoints") == 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this user may not mount a small file system: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["at once", "in a thread"])
def test_a_real_disk_that_fills_up_and_is_freed(small_disk: Path, asynchronous: bool) -> None:
    told: list[str] = []
    checkpoints = small_disk / "checkpoints"
    saver = Saver(checkpoints, CheckpointConfig(asynchronous=asynchronous), told.append)
    saver.save(1, state(1))
    saver.close()
    (small_disk / "filler").write_bytes(bytes(8 * 2**20))
    before = sums(checkpoints)
    saver.save(2, state(2))
    saver.save(3, state(3))
    with pytest.raises(
        SaveFailedError, match=r"No space left on device \(5,242,880 bytes needed, [\d,]+ free\)\. 3 saves"
    ):
        saver.close()
    assert len(told) == 2
    assert sums(checkpoints) == before
    (small_disk / "filler").unlink()
    saver.save(4, state(4))
    saver.close()
    assert newest(checkpoints) == 4


@pytest.fixture
def other_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user, whom a folder shuts out")


def become_nobody_and_save(folder: Path, first: int, then: str = "") -> subprocess.CompletedProcess[str]:
    """A process of another user that opens the folder and saves; `then` is run between two saves."""
    program = f"""
import os, sys
from pathlib import Path
import torch
from lambdanets.training.saver import Saver
from lambdanets.training.checkpoint import CheckpointConfig
os.setgid({NOBODY}); os.setuid({NOBODY})
folder = Path(sys.argv[1])
saver = Saver(folder, CheckpointConfig(asynchronous=False), print)
print("opened")
saver.save({first}, {{"step": {first}, "model": {{"weight": torch.full((9,), {first}.0)}}}})
print("saved")
{then}
"""
    return subprocess.run(
        [sys.executable, "-c", program, folder], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def public_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that another user can reach."""
    folder = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"lambdanets-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.usefixtures("other_user")
@pytest.mark.parametrize("whose", ["read-only", "of another user"])
def test_a_folder_that_is_closed_to_us_is_refused_before_the_first_step(public_folder: Path, whose: str) -> None:
    folder = public_folder / "checkpoints"
    save_checkpoint(folder, 1, state(1, 36), keep=2)
    if whose == "read-only":
        os.chown(folder, NOBODY, NOBODY)
        folder.chmod(0o555)
    before = sums(folder)
    done = become_nobody_and_save(folder, 2)
    assert "run.json could not be written: Permission denied." in done.stderr
    assert done.stdout == ""
    assert sums(folder) == before


@pytest.mark.usefixtures("other_user")
def test_a_folder_that_closes_during_the_run_is_told_and_never_called_saved(public_folder: Path) -> None:
    then = """
folder.chmod(0o555)
for step in (2, 3, 4):
    saver.save(step, {"step": step, "model": {"weight": torch.full((9,), float(step))}})
"""
    done = become_nobody_and_save(public_folder / "checkpoints", 1, then)
    assert done.stdout.count("could not be written: Permission denied. Training goes on") == 2
    assert "SaveFailedError" in done.stderr
    assert newest(public_folder / "checkpoints") == 1


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of two runs, two each of steps 1 and 2."""
    folder = tmp_path_factory.mktemp("two")
    for run in ("one", "two"):
        for step in (1, 2):
            save_checkpoint(folder / run, step, {**state(step, 4000), "run": run}, keep=2, score=step)
    return folder


def test_every_flipped_bit_is_noticed_and_the_one_before_steps_in(two_runs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(two_runs / "one", tmp_path / "run"))
    files = sorted((folder / "step-00000002").iterdir())
    dice, silent = random.Random(0), []
    for flip in range(FLIPS):
        file = files[flip % len(files)]
        sound = file.read_bytes()
        place, bit = dice.randrange(len(sound)), dice.randrange(8)
        file.write_bytes(sound[:place] + bytes([sound[place] ^ 1 << bit]) + sound[place + 1 :])
        loaded, complaints = load_newest(folder)
        if loaded is None or loaded["step"] != 1 or "step-00000002: " not in complaints[0]:
            silent.append((file.name, place, bit))
        file.write_bytes(sound)
    assert silent == []
    assert newest(folder) == 2


def test_every_truncation_is_noticed_and_the_one_before_steps_in(two_runs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(two_runs / "one", tmp_path / "run"))
    files = sorted((folder / "step-00000002").iterdir())
    dice = random.Random(1)
    for cut in range(CUTS):
        file = files[cut % len(files)]
        sound = file.read_bytes()
        file.write_bytes(sound[: dice.randrange(len(sound))])
        loaded, complaints = load_newest(folder)
        assert loaded is not None
        assert (loaded["step"], len(complaints)) == (1, 1), (file.name, complaints)
        file.write_bytes(sound)


@pytest.mark.parametrize("swapped", ["state.pt", "manifest.json", "both"])
def test_files_of_another_run_are_noticed_and_the_one_before_steps_in(
    two_runs: Path, tmp_path: Path, swapped: str
) -> None:
    folder = Path(shutil.copytree(two_runs / "one", tmp_path / "run"))
    for name in ("state.pt", "manifest.json") if swapped == "both" else (swapped,):
        shutil.copy(two_runs / "two" / "step-00000002" / name, folder / "step-00000002" / name)
    loaded, complaints = load_newest(folder)
    assert loaded is not None
    assert (loaded["step"], loaded["run"]) == (1, "one")
    assert "step-00000002" in complaints[0]
