import errno
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from lambdanets.faults import PLACES, armed
from lambdanets.training import checkpoint as module
from lambdanets.training.checkpoint import (
    CheckpointError,
    best_checkpoint,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    remove_drafts,
    save_checkpoint,
)
from lambdanets.training.manifest import read_manifest, sum_of, write_manifest
from lambdanets.training.snapshot import NotFiniteError


def state(step: int) -> dict:
    return {"step": step, "model": {"weight": torch.full((50,), float(step))}, "optimizer": {"groups": [{"lr": 0.1}]}}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 3, state(3), keep=2)
    loaded = load_checkpoint(path)
    assert torch.equal(loaded["model"]["weight"], torch.full((50,), 3.0))
    assert loaded["optimizer"] == {"groups": [{"lr": 0.1}]}


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 4, 30):
        save_checkpoint(tmp_path, step, state(step), keep=2)
    assert {path.name for path in tmp_path.iterdir()} == {"step-00000030", "step-00000004", "run.json"}
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000030", "step-00000004"]


@pytest.mark.parametrize("harm", ["truncated", "missing", "no manifest", "garbled manifest", "list manifest"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, harm: str) -> None:
    path = save_checkpoint(tmp_path, 1, state(1), keep=2)
    if harm == "truncated":
        (path / "state.pt").write_bytes((path / "state.pt").read_bytes()[:-1])
    elif harm == "missing":
        (path / "state.pt").unlink()
    elif harm == "no manifest":
        (path / "manifest.json").unlink()
    else:
        (path / "manifest.json").write_text("{" if harm == "garbled manifest" else "[]")
    with pytest.raises(CheckpointError, match="step-00000001"):
        load_checkpoint(path)
    assert load_newest(tmp_path)[0] is None


def forge(checkpoint: Path) -> None:
    """Give a checkpoint the manifest that fits what is in it by now."""
    run = read_manifest(checkpoint.parent / "run.json")["run"]
    says = {"format": module.FORMAT, "run": run, "step": int(checkpoint.name.removeprefix("step-"))}
    write_manifest(checkpoint / "manifest.json", says, {"state.pt": sum_of(checkpoint / "state.pt")})


class Payload:
    def __reduce__(self) -> tuple:
        return (os.mkdir, ("canary",))


def test_a_checkpoint_of_a_stranger_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save_checkpoint(tmp_path, 1, state(1), keep=2)
    torch.save({"step": 1, "model": Payload()}, path / "state.pt")
    forge(path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(path)
    assert not (tmp_path / "canary").exists()
    assert pickle.dumps(Payload())  # the payload is a working one


def test_saving_the_same_step_again_changes_nothing(tmp_path: Path) -> None:
    file = save_checkpoint(tmp_path, 1, state(1), keep=2) / "state.pt"
    before = file.stat().st_ino
    save_checkpoint(tmp_path, 1, state(1), keep=2)
    assert file.stat().st_ino == before


def test_a_rotten_checkpoint_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 1, state(1), keep=2)
    (path / "state.pt").write_bytes(b"rot")
    assert load_checkpoint(save_checkpoint(tmp_path, 1, state(1), keep=2))["step"] == 1


@pytest.mark.parametrize("place", [place for place in PLACES if place.startswith("save: ")])
@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EIO"])
def test_a_save_that_fails_anywhere_leaves_those_before(tmp_path: Path, place: str, name: str) -> None:
    save_checkpoint(tmp_path, 1, state(1), keep=2, score=0.1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with armed(place, f"raise {name}"), pytest.raises(OSError) as told:  # noqa: PT011 - whatever kind it is
        save_checkpoint(tmp_path, 2, state(2), keep=2, score=0.2)
    assert told.value.errno == getattr(errno, name)
    assert {path: path.read_bytes() for path in before} == before
    loaded, complaints = load_newest(tmp_path)
    assert loaded is not None
    assert loaded["step"] == (2 if place == "save: after rename" else 1)
    assert complaints == []
    assert list(tmp_path.glob("*.tmp")) == []


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_checkpoint(tmp_path, 1, state(1), keep=2)
    monkeypatch.setattr(module, "FORMAT", 3)
    with pytest.raises(CheckpointError, match="got checkpoint format 2, this version reads 3"):
        load_checkpoint(path)


def test_an_empty_or_missing_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert load_newest(tmp_path) == (None, [])
    assert load_newest(tmp_path / "nothing") == (None, [])


def test_the_best_is_kept_beside_the_newest(tmp_path: Path) -> None:
    for step, score in ((1, 0.5), (2, 0.9), (3, 0.9), (4, None), (5, 0.1), (6, float("nan"))):
        save_checkpoint(tmp_path, step, state(step), keep=2, score=score)
    assert best_checkpoint(tmp_path) == (tmp_path / "step-00000002", 0.9)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000006", "step-00000005", "step-00000002"]
    save_checkpoint(tmp_path, 7, state(7), keep=2, score=0.91)
    assert best_checkpoint(tmp_path) == (tmp_path / "step-00000007", 0.91)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000007", "step-00000006"]


@pytest.mark.parametrize("content", [b"", b"{}", b"rot"], ids=["empty", "nothing", "rot"])
def test_what_cannot_be_known_is_not_the_best(tmp_path: Path, content: bytes) -> None:
    save_checkpoint(tmp_path, 1, state(1), keep=2, score=0.5)
    save_checkpoint(tmp_path, 2, state(2), keep=2, score=0.2)
    (tmp_path / "step-00000001" / "manifest.json").write_bytes(content)
    assert best_checkpoint(tmp_path) == (tmp_path / "step-00000002", 0.2)


def test_a_score_may_come_with_a_second_save(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, state(1), keep=2)
    assert best_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, 1, state(1), keep=2, score=0.5)
    save_checkpoint(tmp_path, 1, state(1), keep=2)
    assert best_checkpoint(tmp_path) == (tmp_path / "step-00000001", 0.5)


def test_a_future_that_was_given_up_goes_with_the_next_save(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, state(step), keep=3, score=step)
    (tmp_path / "step-00000003" / "state.pt").write_bytes(b"rot")
    (tmp_path / "step-00000002" / "state.pt").write_bytes(b"rot")
    save_checkpoint(tmp_path, 2, state(2), keep=3)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000002", "step-00000001"]
    assert best_checkpoint(tmp_path) == (tmp_path / "step-00000001", 1.0)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.complex64], ids=str)
def test_a_state_with_a_number_that_is_none_is_not_written(tmp_path: Path, number: float, dtype: torch.dtype) -> None:
    broken = {**state(1), "average": [torch.zeros(3, dtype=dtype), torch.tensor([1, number], dtype=dtype)]}
    with pytest.raises(NotFiniteError, match=r"NaN or infinity in 1 tensors of the state \(average.1\): it is not"):
        save_checkpoint(tmp_path, 1, broken, keep=2, score=1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_run_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="checkpoints could not be written: No such file or directory"):
        save_checkpoint(tmp_path / "run" / "checkpoints", 1, state(1), keep=2)
    assert list(tmp_path.iterdir()) == []


def test_whole_checkpoints_of_two_runs_that_were_swapped_are_noticed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        for step in (1, 2):
            save_checkpoint(tmp_path / name, step, state(step), keep=2)
    shutil.rmtree(tmp_path / "one" / "step-00000002")
    shutil.copytree(tmp_path / "two" / "step-00000002", tmp_path / "one" / "step-00000002")
    loaded, complaints = load_newest(tmp_path / "one")
    assert loaded is not None
    assert loaded["step"] == 1
    assert complaints == [f"{tmp_path / 'one' / 'step-00000002'} is a checkpoint of another run."]


def test_a_checkpoint_under_the_name_of_another_step_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, state(1), keep=2).rename(tmp_path / "step-00000009")
    with pytest.raises(CheckpointError, match="step-00000009 is not what was written: it was step 1"):
        load_checkpoint(tmp_path / "step-00000009")


def test_a_checkpoint_alone_can_be_loaded_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    moved = save_checkpoint(tmp_path / "run", 1, state(1), keep=2).rename(tmp_path / "start")
    assert load_checkpoint(moved)["step"] == 1


def test_the_name_of_the_run_is_found_again_when_it_is_lost(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, state(1), keep=2)
    before = (tmp_path / "run.json").read_bytes()
    (tmp_path / "run.json").write_bytes(b"rot")
    save_checkpoint(tmp_path, 2, state(2), keep=2)
    assert (tmp_path / "run.json").read_bytes() == before
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000002", "step-00000001"]


def test_what_a_crash_left_is_removed_files_too(tmp_path: Path) -> None:
    (tmp_path / "step-00000001.tmp").mkdir()
    (tmp_path / "run.json.123.tmp").touch()
    remove_drafts(tmp_path)
    assert list(tmp_path.iterdir()) == []
