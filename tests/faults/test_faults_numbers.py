"""R9: NaN and infinity in input, loss, gradient and average; once, five and twenty times; on all ranks or one."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from served import FaultServer, fault, fingerprint

from lambdanets.faults import armed
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.checkpoint import list_checkpoints, load_checkpoint, load_newest
from lambdanets.training.folder import RunFolder
from lambdanets.training.guard import DivergedError
from lambdanets.training.host import Watcher
from lambdanets.training.journal import Record, read_journal
from lambdanets.training.override import with_assignments
from lambdanets.training.run import Run, begin_run, prepare_run, resume_run, train_run
from lambdanets.training.snapshot import check_finite_state

STEPS = 12
SETTINGS = ["batch_size=8", f"epochs={STEPS * 8 / 1287}", "num_threads=1", "checkpoint.every_steps=4"]
SPOILS = [("step: forward", "nan"), ("step: backward", "inf"), ("step: backward", "nan"), ("step: gradient", "inf")]


class Killed(BaseException):
    pass


def prepared(*settings: str) -> Run:
    return prepare_run(with_assignments(find_recipe("digits"), [*SETTINGS, *settings]))


def trained(run: Run, path: Path, show: Callable[[Record], None] = lambda record: None) -> tuple[RunFolder, list[str]]:
    told: list[str] = []
    folder = RunFolder(path) if RunFolder(path).config.exists() else begin_run(run, path)
    assert train_run(run, folder, Watcher(show=show, tell=told.append))
    return folder, told


def of_kind(folder: RunFolder, event: str) -> list[Record]:
    return [record for record in read_journal(folder.metrics) if record["event"] == event]


def learned(run: Run) -> dict[str, Any]:
    captured = run.state.capture()
    return copy.deepcopy({name: captured[name] for name in ("model", "average", "optimizer")})


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize(("place", "action"), SPOILS)
def test_one_bad_step_changes_nothing_and_is_counted(tmp_path: Path, place: str, action: str) -> None:
    run, states = prepared(), []
    with armed(place, action, at=6):
        folder, _ = trained(run, tmp_path / "run", lambda record: states.append(learned(run)))
    for state in states[4:6]:  # the optimizer's learning rate is that of the step, taken or not
        for group in state["optimizer"]["param_groups"]:
            del group["lr"]
    assert same(states[4], states[5]), "weights, norms, average and momentum are those before the bad step"
    assert not same(states[5]["model"], states[6]["model"])
    steps = of_kind(folder, "step")
    assert [record["bad_steps"] for record in steps] == [0] * 5 + [1] * 7
    assert [record["step"] for record in steps if None in (record["loss"], record["gradient_norm"])] == [6]
    check_finite_state(run.state.capture())


def test_five_in_a_row_go_back_with_half_the_learning_rate(tmp_path: Path) -> None:
    undisturbed, _ = trained(prepared(), tmp_path / "undisturbed")
    run = prepared()
    with armed("step: backward", "nan", at=7, times=5):
        folder, told = trained(run, tmp_path / "run")
    assert told == ["Went back to step 4, with half the learning rate: there were NaN or infinity up to 11."]
    assert run.state.rollbacks == 1
    (event,) = of_kind(folder, "rollback")
    assert (event["step"], event["from_step"], event["bad_steps"], event["learning_rate_factor"]) == (4, 11, 5, 0.5)
    steps, usual = of_kind(folder, "step"), of_kind(undisturbed, "step")
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1)), "each step is in the journal once"
    factors = [
        float(a["learning_rate"] or 0) / float(b["learning_rate"] or 1) for a, b in zip(steps, usual, strict=True)
    ]
    assert factors == [1] * 4 + [0.5] * 8
    assert [record["loss"] for record in steps[:4]] == [record["loss"] for record in usual[:4]]


def test_twenty_in_a_row_end_the_run_with_its_last_good_state(tmp_path: Path) -> None:
    run = prepared()
    folder = begin_run(run, tmp_path / "run")
    with (
        armed("step: forward", "nan", at=7, times=20),
        pytest.raises(DivergedError, match=r"\(step 9, after 1 returns"),
    ):
        train_run(run, folder)
    assert [path.name for path in list_checkpoints(folder.checkpoints)] == ["step-00000004"]
    check_finite_state(load_checkpoint(folder.checkpoints / "step-00000004"))


@pytest.mark.parametrize(("at", "back_to"), [(6, 4), (2, 0)], ids=["after a checkpoint", "before the first"])
def test_an_average_that_is_no_number_is_never_saved(tmp_path: Path, at: int, back_to: int) -> None:
    run = prepared()
    with armed("step: average", "nan", at=at):
        folder, told = trained(run, tmp_path / "run")
    assert any("NaN or infinity in 1 tensors of the state (average." in sentence for sentence in told)
    assert [record["step"] for record in of_kind(folder, "rollback")] == [back_to]
    for checkpoint in list_checkpoints(folder.checkpoints):
        check_finite_state(load_checkpoint(checkpoint))
    assert run.state.step == STEPS


@pytest.mark.parametrize("killed_at", [5, 9, 12])
def test_a_run_that_went_back_resumes_to_the_same_bits(tmp_path: Path, killed_at: int) -> None:
    """Also if it is killed before it has saved that it went back."""
    undisturbed = prepared()
    with armed("step: backward", "nan", at=7, times=5):
        trained(undisturbed, tmp_path / "undisturbed")

    def die(record: Record) -> None:
        if run.state.rollbacks and record["event"] == "step" and record["step"] == killed_at:
            raise Killed

    run = prepared()
    with armed("step: backward", "nan", at=7, times=5), pytest.raises(Killed):
        trained(run, tmp_path / "run", die)
    resumed = prepared()
    resume_run(resumed, RunFolder(tmp_path / "run"))
    assert (resumed.state.step, resumed.state.rollbacks) == (killed_at // 4 * 4 if killed_at < 12 else 8, 1)
    folder, _ = trained(resumed, tmp_path / "run")
    assert same(resumed.state.capture(), undisturbed.state.capture())
    assert [record["step"] for record in of_kind(folder, "step")] == list(range(1, STEPS + 1))


def test_float16_that_overflows_is_scaled_down_not_given_up(tmp_path: Path) -> None:
    run = prepared("precision.dtype=float16")
    run.state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    folder, told = trained(run, tmp_path / "run")
    bad = run.state.bad_steps
    assert bad > 5, "more in a row than would be gone back for"
    assert told == []
    assert run.state.scaler.get_scale() == 2.0 ** (40 - bad)
    assert of_kind(folder, "rollback") == []


@pytest.mark.parametrize("place", ["step: forward", "step: backward", "step: gradient"])
def test_a_bad_number_on_one_rank_is_a_bad_step_on_both(server: FaultServer, tmp_path: Path, place: str) -> None:
    ended = server.obey_all(
        "train",
        {"path": str(tmp_path / "run"), "settings": SETTINGS},
        ranks=2,
        faults=[fault(place, "nan", at=5, rank=1)],
    )
    assert fingerprint(ended[0]) == fingerprint(ended[1])
    assert [record["bad_steps"] for record in of_kind(RunFolder(tmp_path / "run"), "step")] == [0] * 4 + [1] * 8
    newest, _ = load_newest(RunFolder(tmp_path / "run").checkpoints)
    assert newest is not None
    check_finite_state(newest)


def test_ranks_go_back_together(server: FaultServer, tmp_path: Path) -> None:
    faults = [fault("step: gradient", "inf", at=6, times=5, rank=1)]
    ended = server.obey_all("train", {"path": str(tmp_path / "run"), "settings": SETTINGS}, ranks=2, faults=faults)
    assert fingerprint(ended[0]) == fingerprint(ended[1])
    assert [record["step"] for record in of_kind(RunFolder(tmp_path / "run"), "rollback")] == [4]
