"""Several processes train as one does: the same samples, the same losses, the same checkpoints."""

import os
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp

from lambdanets.recipes.registry import find_recipe
from lambdanets.training.distributed import ALONE, Ranks, joined_ranks
from lambdanets.training.folder import RunFolder
from lambdanets.training.host import Watcher
from lambdanets.training.journal import read_journal
from lambdanets.training.override import with_assignments
from lambdanets.training.run import begin_run, finish_run, prepare_run, resume_run, train_run

STEPS = 50
QUICK = ["batch_size=12", f"epochs={STEPS * 12 / 1287}", "num_threads=1", "average.decay=0.9"]


def train_part(ranks: Ranks, path: Path, settings: list[str], until: int) -> None:
    """Begin or resume the run in a folder and train it up to a step; judge it at its end."""
    run = prepare_run(with_assignments(find_recipe("digits"), [*QUICK, *settings]), ranks)
    folder = RunFolder(path)
    if folder.config.exists():
        resume_run(run, folder)
    else:
        begin_run(run, path)
    if train_run(run, folder, Watcher(stop=lambda: run.state.step >= until)):
        finish_run(run, folder)


def as_rank(rank: int, count: int, path: Path, settings: list[str], until: int) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": (path.parent / "port").read_text()}
    with joined_ranks() as ranks:
        assert (ranks.rank, ranks.count) == (rank, count)
        train_part(ranks, path, settings, until)


def train(count: int, path: Path, settings: list[str], until: int = STEPS) -> None:
    """As many processes as asked for, on one machine."""
    if count == 1:
        train_part(ALONE, path, settings, until)
        return
    (path.parent / "port").write_text(str(free_port()))
    mp.spawn(as_rank, (count, path, settings, until), nprocs=count)


def free_port() -> int:
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def numbers(path: Path, *names: str) -> torch.Tensor:
    """Those of every step."""
    records = [record for record in read_journal(RunFolder(path).metrics) if record["event"] == "step"]
    assert [record["step"] for record in records] == list(range(1, STEPS + 1))
    return torch.tensor([[float(record[name] or 0) for name in names] for record in records], dtype=torch.float64)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Undisturbed runs of one process, by dtype."""
    paths = {dtype: tmp_path_factory.mktemp(dtype) / "run" for dtype in ("float64", "float32")}
    for dtype, path in paths.items():
        train(1, path, [f"precision.dtype={dtype}"])
    return paths


@pytest.mark.parametrize(("count", "dtype", "tolerance"), [(2, "float64", 1e-10), (2, "float32", 1e-5)])
def test_several_processes_have_the_losses_of_one(
    alone: dict[str, Path], tmp_path: Path, count: int, dtype: str, tolerance: float
) -> None:
    train(count, tmp_path / "run", [f"precision.dtype={dtype}"])
    expected, found = (numbers(path, "loss") for path in (alone[dtype], tmp_path / "run"))
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=0)
    assert RunFolder(tmp_path / "run").result.exists()


def test_a_run_goes_on_with_another_number_of_processes(alone: dict[str, Path], tmp_path: Path) -> None:
    path, settings = tmp_path / "run", ["precision.dtype=float64"]
    train(2, path, settings, until=17)
    train(1, path, settings, until=34)
    train(2, path, settings)
    expected, found = (numbers(run, "loss", "accuracy", "gradient_norm") for run in (alone["float64"], path))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)


def test_parts_of_a_step_are_the_same_samples_on_any_number_of_processes(tmp_path: Path) -> None:
    """Six at once on one process are three at once on two: the norms see the same six either way."""
    for count, at_once in ((1, 6), (2, 3)):
        settings = ["precision.dtype=float64", f"micro_batch_size={at_once}"]
        train(count, tmp_path / f"{count}", settings)
    expected, found = (numbers(tmp_path / f"{count}", "loss", "gradient_norm") for count in (1, 2))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)
