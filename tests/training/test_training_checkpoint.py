import json
import os
import pickle
import random
from pathlib import Path

import pytest
import torch

from lambdanets.training import checkpoint as module
from lambdanets.training.checkpoint import (
    CheckpointError,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    remove_drafts,
    save_checkpoint,
)


def state(step: int) -> dict:
    return {"step": step, "model": {"weight": torch.full((50,), float(step))}, "optimizer": {"groups": [{"lr": 0.1}]}}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 3, state(3), keep=2)
    loaded = load_checkpoint(path)
    assert torch.equal(loaded["model"]["weight"], torch.full((50,), 3.0))
    assert loaded["optimizer"] == {"groups": [{"lr": 0.1}]}


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 30, 4):
        save_checkpoint(tmp_path, step, state(step), keep=2)
    assert {path.name for path in tmp_path.iterdir()} == {"step-00000030", "step-00000004"}
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000030", "step-00000004"]


def test_every_flipped_bit_is_noticed_and_the_one_before_steps_in(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, state(1), keep=2)
    file = save_checkpoint(tmp_path, 2, state(2), keep=2) / "state.pt"
    sound = file.read_bytes()
    dice = random.Random(0)
    for _ in range(100):
        rotten = bytearray(sound)
        rotten[dice.randrange(len(rotten))] ^= 1 << dice.randrange(8)
        file.write_bytes(rotten)
        loaded, complaints = load_newest(tmp_path)
        assert loaded is not None
        assert loaded["step"] == 1
        assert "state.pt is not what was written" in complaints[0]


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


class Payload:
    def __reduce__(self) -> tuple:
        return (os.mkdir, ("canary",))


def test_a_checkpoint_of_a_stranger_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save_checkpoint(tmp_path, 1, state(1), keep=2)
    torch.save({"step": 1, "model": Payload()}, path / "state.pt")
    forged = {"format": 1, "step": 1, "files": {"state.pt": module._fingerprint(path / "state.pt")}}
    (path / "manifest.json").write_text(json.dumps(forged))
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


@pytest.mark.parametrize("moment", ["torch.save", "os.replace", "json.dump"])
def test_a_save_that_dies_leaves_the_one_before(tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, 1, state(1), keep=2)

    def die(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    owner, name = moment.split(".")
    with monkeypatch.context() as patch:
        patch.setattr(getattr(module, owner), name, die)
        with pytest.raises(OSError, match="No space"):
            save_checkpoint(tmp_path, 2, state(2), keep=2)
    loaded, complaints = load_newest(tmp_path)
    assert loaded is not None
    assert loaded["step"] == 1
    assert complaints == []
    remove_drafts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_checkpoint(tmp_path, 1, state(1), keep=2)
    monkeypatch.setattr(module, "FORMAT", 2)
    with pytest.raises(CheckpointError, match="got checkpoint format 1, this version reads 2"):
        load_checkpoint(path)


def test_an_empty_or_missing_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert load_newest(tmp_path) == (None, [])
    assert load_newest(tmp_path / "nothing") == (None, [])
