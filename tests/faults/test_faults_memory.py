"""R10: memory that runs out, at step 0, in the middle, while judging, on one rank; and what stays the same."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from served import FaultServer, fault
from torch import nn

from lambdanets.faults import armed
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.folder import RunFolder
from lambdanets.training.host import Watcher
from lambdanets.training.journal import read_journal
from lambdanets.training.memory import OutOfMemoryError
from lambdanets.training.override import with_assignments
from lambdanets.training.run import Run, begin_run, finish_run, prepare_run, resume_run, train_run

STEPS = 6
SETTINGS = ["batch_size=12", f"epochs={STEPS * 12 / 1287}", "num_threads=1", "checkpoint.every_steps=2"]
ERRORS = ["torch OOM", "MemoryError"]


def without_norms(**_: object) -> nn.Module:
    """A network whose samples do not know of each other, so that parts of a batch give the gradient of the whole."""
    return nn.Sequential(nn.Conv2d(1, 8, 3, stride=4), nn.GELU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.LazyLinear(10))


@pytest.fixture
def plain_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(name: str, *, num_classes: int, in_chans: int) -> nn.Module:
        model = without_norms()
        model(torch.zeros(1, in_chans, 32, 32))
        return model

    monkeypatch.setattr("lambdanets.training.classification.create_model", build)


def prepared(*settings: str) -> Run:
    return prepare_run(with_assignments(find_recipe("digits"), [*SETTINGS, *settings]))


def trained(path: Path, *settings: str) -> tuple[Run, RunFolder, list[str]]:
    run, told = prepared(*settings), []
    folder = begin_run(run, path)
    assert train_run(run, folder, Watcher(tell=told.append))
    return run, folder, told


def numbers(folder: RunFolder) -> torch.Tensor:
    names = ("loss", "accuracy", "gradient_norm", "learning_rate")
    steps = [record for record in read_journal(folder.metrics) if record["event"] == "step"]
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    return torch.tensor([[float(record[name] or 0) for name in names] for record in steps], dtype=torch.float64)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("place", "at", "times", "left"),
    [("step: forward", 1, 1, 6), ("step: backward", 4, 1, 6), ("step: forward", 3, 2, 3), ("step: backward", 1, 4, 1)],
    ids=["step 0", "mid-epoch", "twice", "down to one"],
)
def test_half_as_many_at_once_and_nothing_else_changes(
    tmp_path: Path, plain_network: None, error: str, place: str, at: int, times: int, left: int
) -> None:
    undisturbed, usual, _ = trained(tmp_path / "undisturbed")
    with armed(place, f"raise {error}", at=at, times=times):
        run, folder, told = trained(tmp_path / "run")
    assert run.state.micro_batch_size == left
    assert told[-1] == f"Memory ran out: {left} samples at once from now on, as many a step as before."
    torch.testing.assert_close(numbers(folder), numbers(usual), rtol=1e-6, atol=1e-6)
    for mine, theirs in zip(run.state.model.parameters(), undisturbed.state.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)
    assert json.loads(folder.memory.read_text()) == {"micro_batch_size": left}


def test_what_fits_is_remembered_by_a_resumed_run(tmp_path: Path) -> None:
    run = prepared()
    folder = begin_run(run, tmp_path / "run")
    with armed("step: forward", "raise torch OOM", at=3):
        assert not train_run(run, folder, Watcher(stop=lambda: run.state.step == 4))
    resumed = prepared()
    resume_run(resumed, folder)
    assert train_run(resumed, folder)
    assert resumed.state.micro_batch_size == 6


@pytest.mark.parametrize("error", ERRORS)
def test_judging_takes_half_as_many_at_once(tmp_path: Path, error: str) -> None:
    settings = ["judge_every_epochs=0.03", "average.decay=0.5"]
    _, usual, _ = trained(tmp_path / "undisturbed", *settings)
    with armed("judge: forward", f"raise {error}", at=2, times=2):
        run, folder, told = trained(tmp_path / "run", *settings)
    assert told == [f"Memory ran out while judging: {left} samples at once from now on." for left in (6, 3)]
    assert run.state.micro_batch_size == 12, "training is not slowed down by it"
    judged, expected = ([r for r in read_journal(f.metrics) if r["event"] == "judged"] for f in (folder, usual))
    assert [record["correct"] for record in judged] == [record["correct"] for record in expected]
    assert len(judged) == 1
    assert run.state.model.training
    torch.testing.assert_close(numbers(folder), numbers(usual), rtol=0, atol=0)


def test_the_last_judgement_survives_too(tmp_path: Path) -> None:
    run, folder, _ = trained(tmp_path / "run")
    told: list[str] = []
    with armed("judge: forward", "raise torch OOM", at=3):
        finish_run(run, folder, told.append)
    assert told == ["Memory ran out while judging: 6 samples at once from now on."]


def test_an_update_that_does_not_fit_ends_the_run(tmp_path: Path) -> None:
    with (
        armed("step: update", "raise torch OOM", at=4),
        pytest.raises(OutOfMemoryError, match="the optimizer's update"),
    ):
        trained(tmp_path / "run")


@pytest.mark.parametrize("place", ["step: forward", "judge: forward"])
def test_one_sample_that_does_not_fit_ends_the_command_with_71(server: FaultServer, tmp_path: Path, place: str) -> None:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    oom = fault(place, "raise torch OOM", at=4, times=999)
    ended = server.command("train", "digits", "--out", tmp_path / "run", *settings, faults=[oom])
    assert ended.code == 71, ended.said
    assert "a step of a single sample does not fit into memory" in ended.said
    assert "Traceback" not in ended.said


def test_memory_that_runs_out_on_one_rank_restarts_both_with_less(server: FaultServer, tmp_path: Path) -> None:
    give = {"path": str(tmp_path / "run"), "settings": SETTINGS}
    oom = fault("step: forward", "raise torch OOM", at=4, rank=1)
    first = server.obey_all("train", give, ranks=2, faults=[oom])
    assert all(ended.code != 0 for ended in first), "so that torchrun starts them again"
    assert "3 samples at once from now on" in first[1].said
    folder = RunFolder(tmp_path / "run")
    assert json.loads(folder.memory.read_text()) == {"micro_batch_size": 3}
    second = server.obey_all("train", give, ranks=2)
    assert [ended.code for ended in second] == [0, 0], second
    assert numbers(folder).isfinite().all()


LIMITED = """
import resource, sys
from pathlib import Path
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.host import Watcher
from lambdanets.training.override import with_assignments
from lambdanets.training.run import begin_run, prepare_run, train_run

settings = ["batch_size=1024", "epochs=1.6", "num_threads=1", "optimizer.name=sgd", "checkpoint.asynchronous=false"]
run = prepare_run(with_assignments(find_recipe("digits"), settings))
folder = begin_run(run, Path(sys.argv[1]))
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + int(sys.argv[2]) * 2**20,) * 2)
assert train_run(run, folder, Watcher(tell=print))
print("steps", run.state.step, run.state.micro_batch_size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.faults
def test_a_limit_of_the_system_is_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "run"), "400"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "Memory ran out: 512 samples at once from now on" in ended.stdout
    assert resource.getrlimit(resource.RLIMIT_AS)[1] == resource.RLIM_INFINITY
