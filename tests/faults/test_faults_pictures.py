"""R12, the loop's part: unreadable pictures are named once and left out; too many of them end the run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from served import FaultServer

from lambdanets.training.folder import RunFolder
from lambdanets.training.guard import Guard, GuardConfig, UnreadableDataError
from lambdanets.training.journal import read_journal

PICTURES = 150
SETTINGS = ["batch_size=10", "num_threads=1", "data.image_size=32", "data.flip=0"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    dice = np.random.default_rng(0)
    for number in range(PICTURES):
        for split in ("train", "val"):
            file = tmp_path / "pictures" / split / str(number % 2) / f"{number:03d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            if split == "train" or number < 20:
                Image.fromarray(dice.integers(0, 255, (32, 32), dtype=np.uint8)).save(file)
    return tmp_path / "pictures"


def spoil(pictures: Path, count: int) -> list[str]:
    """Cut so many training pictures short."""
    chosen = sorted((pictures / "train").rglob("*.png"))[:: PICTURES // count][:count]
    for path in chosen:
        path.write_bytes(path.read_bytes()[:100])
    return [str(path.relative_to(pictures)) for path in chosen]


def test_one_in_a_hundred_and_fifty_is_named_once_and_left_out(
    server: FaultServer, tmp_path: Path, pictures: Path
) -> None:
    (broken,) = spoil(pictures, 1)
    run = tmp_path / "run"
    ended = server.train(run, [*SETTINGS, "epochs=3"], data=pictures)
    assert ended.code == 0, ended.said
    (line,) = RunFolder(run).skipped.read_text().splitlines()
    assert Path(broken).name in line
    shares = [float(record["unreadable"] or 0) for record in read_journal(RunFolder(run).metrics)]
    assert sum(shares) * 10 == pytest.approx(3), "once an epoch"
    assert (
        torch.tensor([float(record["loss"] or 0) for record in read_journal(RunFolder(run).metrics)]).isfinite().all()
    )


def test_too_many_end_the_run_with_a_report(server: FaultServer, tmp_path: Path, pictures: Path) -> None:
    broken = spoil(pictures, 15)
    ended = server.train(tmp_path / "run", [*SETTINGS, "epochs=3"], data=pictures)
    assert "samples cannot be read, wanted 1.0% at most: see skipped.txt" in ended.said
    skipped = RunFolder(tmp_path / "run").skipped.read_text().splitlines()
    assert len(skipped) == len(set(skipped))
    assert 2 <= len(skipped) <= len(broken)


@pytest.mark.parametrize(
    ("share", "seen", "unreadable", "ends"),
    [
        (0.01, 10, 1, False),
        (0.01, 10, 2, True),
        (0.01, 1000, 11, False),
        (0.01, 1000, 12, True),
        (0, 10, 1, True),
        (1, 10, 10, False),
        (0.5, 10, 6, False),
        (0.5, 10, 7, True),
    ],
)
def test_what_is_too_much(share: float, seen: int, unreadable: int, ends: bool) -> None:
    guard = Guard(GuardConfig(unreadable=share))
    if ends:
        with pytest.raises(UnreadableDataError, match=f"{unreadable} of {seen} samples"):
            guard.count_unreadable(seen, unreadable)
    else:
        guard.count_unreadable(seen, unreadable)
