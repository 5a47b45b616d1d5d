"""Several processes train as one does: the same samples, the same losses, the same checkpoints, the same scores.

Three processes are started once for all cases; each case says how many of them take part.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import nn

from lambdanets.data.loader import load_batches
from lambdanets.recipes.registry import find_recipe
from lambdanets.training import classification, shares
from lambdanets.training.distributed import ALONE, Ranks, joined_ranks
from lambdanets.training.folder import RunFolder
from lambdanets.training.host import Watcher
from lambdanets.training.journal import read_journal
from lambdanets.training.override import with_assignments
from lambdanets.training.run import Run, begin_run, finish_run, prepare_run, resume_run, train_run

pytestmark = pytest.mark.timeout(900)
SAMPLES = 1287
PROCESSES = 3
QUICK = ["num_threads=1", "average.decay=0.9"]


def length(steps: int, batch_size: int = 6) -> list[str]:
    return [f"batch_size={batch_size}", f"epochs={steps * batch_size / SAMPLES}"]


LONG = {
    "float64": [*length(50), "precision.dtype=float64"],
    "float32": [*length(50), "precision.dtype=float32", "optimizer.name=sgd", "optimizer.learning_rate=2e-4"],
}
RESUMED = [*length(12), "precision.dtype=float64"]
PARTS = {
    count: [*length(12, batch_size=8), "precision.dtype=float64", f"micro_batch_size={at_once}"]
    for count, at_once in ((1, 4), (2, 2))
}
EPOCHS = [*length(26, batch_size=99), "optimizer.learning_rate=0.01"]
STAGES = ((3, 8), (2, 13), (1, 17), (2, 26))
"""(processes, the step at which they stop): two epochs of 13 steps, changes in the middle of each and between them."""


def train_part(ranks: Ranks, path: Path, settings: list[str], until: int) -> None:
    """Begin or resume the run in a folder and train it up to a step; not judged, which takes longer than training."""
    train_until(prepare(ranks, settings), ranks, path, until)


def prepare(ranks: Ranks, settings: list[str]) -> Run:
    """The recipe `digits` with these settings."""
    return prepare_run(with_assignments(find_recipe("digits"), [*QUICK, *settings]), ranks)


def train_until(run: Run, ranks: Ranks, path: Path, until: int) -> bool:
    """Begin or resume a run in a folder; whether its end was reached."""
    folder = RunFolder(path)
    if ranks.from_first(folder.config.exists):  # the first process writes it when it begins
        resume_run(run, folder)
    else:
        begin_run(run, path)
    return train_run(run, folder, Watcher(stop=lambda: run.state.step >= until))


def train_simple(ranks: Ranks, path: Path, settings: list[str], until: int, norm: bool) -> None:
    """The same with a small network, with BatchNorm or without, judged; each process writes down what it was given."""
    given = path.with_name(f"{path.name}-until-{until}-rank-{ranks.rank}.jsonl")

    def recording(make: Any, requests: Callable[[int], Iterator[Any]], first: int, *rest: Any, **more: Any) -> Any:
        batches = load_batches(make, requests, first, *rest, **more)
        if isinstance(make, shares._Plain):  # for judging
            yield from batches
            return
        with given.open("w") as file:
            for request, batch in zip(requests(first), batches, strict=False):
                assert len(batch.labels) == len(request.indices)
                print(json.dumps([request.step, request.epochs.tolist(), request.indices.tolist()]), file=file)
                file.flush()
                yield batch

    with small_network(norm), patch.object(shares, "load_batches", recording):
        run = prepare(ranks, settings)
        if train_until(run, ranks, path, until):
            finish_run(run, RunFolder(path))


def small_network(norm: bool) -> Any:
    """Within this block the network is a small one, and smooth: nothing to turn over by a rounding."""

    def create(*_: Any, num_classes: int, **__: Any) -> nn.Module:
        inner = nn.BatchNorm1d(8) if norm else nn.Identity()
        return nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 8), inner, nn.Tanh(), nn.Linear(8, num_classes))

    return patch.object(classification, "create_model", create)


def judge(ranks: Ranks, path: Path) -> None:
    """What one network is found to be worth, with batches of several sizes."""
    found = []
    for size in (2 * ranks.count, 7, 64):
        with small_network(norm=True):
            run = prepare(ranks, [f"batch_size={size}", "precision.dtype=float64"])
        found.append(run.task.evaluate(run.state.model))
    if ranks.is_first:
        path.write_text(json.dumps(found))


def cases(root: Path) -> list[tuple[Any, ...]]:
    """(processes, what they do, with what)."""
    long = [(count, train_part, root / f"{dtype}-{count}", LONG[dtype], 50) for dtype in LONG for count in (1, 2)]
    parts = [(count, train_part, root / f"parts-{count}", PARTS[count], 12) for count in PARTS]
    resumed = [(1, train_part, root / "resumed-no", RESUMED, 12)]
    resumed += [(count, train_part, root / "resumed-yes", RESUMED, until) for count, until in ((2, 4), (1, 8), (2, 12))]
    judged = [(count, judge, root / f"judged-{count}") for count in (1, 2, 3)]
    changed: list[tuple[Any, ...]] = []
    for name, settings, norm in (("plain", [], False), ("norm", ["precision.dtype=float64"], True)):
        changed.append((1, train_simple, root / f"{name}-fixed", EPOCHS + settings, 26, norm))
        for count, until in STAGES:
            changed.append((count, train_simple, root / f"{name}-changing", EPOCHS + settings, until, norm))
    return [*long, *parts, *resumed, *judged, *changed]


def as_process(number: int, root: Path, ports: list[int]) -> None:
    """Every case in turn, as the process of this rank; alone where the case is for one."""
    torch.use_deterministic_algorithms(False)
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "MASTER_ADDR": "127.0.0.1"}
    for (count, act, *arguments), port in zip(cases(root), ports, strict=True):
        if number >= count:
            continue
        os.environ |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_PORT": str(port)}
        with ExitStack() as held:
            ranks = held.enter_context(joined_ranks()) if count > 1 else ALONE
            assert (ranks.rank, ranks.count) == (number, count)
            act(ranks, *arguments)


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        doors = [held.enter_context(socket.socket()) for _ in range(count)]
        for door in doors:
            door.bind(("127.0.0.1", 0))
        return [door.getsockname()[1] for door in doors]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all cases have been run."""
    root = tmp_path_factory.mktemp("cases")
    mp.spawn(as_process, (root, free_ports(len(cases(root)))), nprocs=PROCESSES)
    return root


def numbers(path: Path, *names: str) -> torch.Tensor:
    """Those of every step."""
    records = [record for record in read_journal(RunFolder(path).metrics) if record["event"] == "step"]
    assert [record["step"] for record in records] == list(range(1, len(records) + 1))
    return torch.tensor([[float(record[name] or 0) for name in names] for record in records], dtype=torch.float64)


def largest_difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Relative, of two curves."""
    assert found.shape == expected.shape
    return ((found - expected).abs() / expected.abs()).max().item()


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
def test_two_processes_have_the_losses_of_one(root: Path, dtype: str, tolerance: float) -> None:
    """In fp32 at a low learning rate, for this is about our arithmetic, not about chaos.

    At the usual rate any two fp32 runs part whose sums are taken in another order: a rounding of 1e-7 turns a few ReLUs
    over, each of which moves the stem's gradient by 1e-3 of its norm, and after 20 steps the losses differ by 1e-3 to
    1e-2. So do two runs of one process in fp64, the initial weights of one of them disturbed by 1e-7. Measured with SGD
    over 50 steps: 2e-7 at a rate of 2e-4, and 2e-3 at a rate of 2e-3, where the first ReLUs turn.
    """
    expected, found = (numbers(root / f"{dtype}-{count}", "loss") for count in (1, 2))
    assert len(found) == 50
    assert largest_difference(found, expected) <= tolerance


def test_a_run_goes_on_with_another_number_of_processes(root: Path) -> None:
    expected, found = (numbers(root / f"resumed-{name}", "loss", "gradient_norm") for name in ("no", "yes"))
    assert len(found) == 12
    assert largest_difference(found, expected) <= 1e-10


def test_parts_of_a_step_are_the_same_samples_on_any_number_of_processes(root: Path) -> None:
    """Four at once on one process are two at once on two: the norms see the same four either way."""
    expected, found = (numbers(root / f"parts-{count}", "loss", "gradient_norm") for count in (1, 2))
    assert len(found) == 12
    assert largest_difference(found, expected) <= 1e-10


@pytest.mark.parametrize(("name", "tolerance"), [("plain", 1e-5), ("norm", 1e-10)], ids=["no norm", "norms, fp64"])
def test_the_number_of_processes_may_change_three_times(root: Path, name: str, tolerance: float) -> None:
    expected, found = (numbers(root / f"{name}-{how}", "loss", "gradient_norm") for how in ("fixed", "changing"))
    assert len(found) == 26
    assert all(RunFolder(root / f"{name}-{how}").result.exists() for how in ("fixed", "changing"))
    assert largest_difference(found, expected) <= tolerance


def test_every_sample_of_an_epoch_is_seen_once_though_processes_come_and_go(root: Path) -> None:
    seen = np.zeros((2, SAMPLES), dtype=int)
    begin = 0
    for count, until in STAGES:
        for rank in range(count):
            lines = (root / f"plain-changing-until-{until}-rank-{rank}.jsonl").read_text().splitlines()
            given = {step: (epochs, indices) for step, epochs, indices in map(json.loads, lines)}
            for step in range(begin, until):
                np.add.at(seen, given[step], 1)
        begin = until
    assert (seen == 1).all()


def test_scores_are_exact_on_any_number_of_processes_and_any_size_of_batch(root: Path) -> None:
    found = [scores for count in (1, 2, 3) for scores in json.loads((root / f"judged-{count}").read_text())]
    assert {scores["images"] for scores in found} == {510}
    assert len({scores["correct"] for scores in found}) == 1
    assert max(scores["loss"] for scores in found) - min(scores["loss"] for scores in found) < 1e-12
