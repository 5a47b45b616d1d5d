import errno
import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from lambdanets.faults import armed
from lambdanets.training.checkpoint import (
    CheckpointConfig,
    best_checkpoint,
    list_checkpoints,
    load_checkpoint,
    load_newest,
)
from lambdanets.training.saver import SaveFailedError, Saver
from lambdanets.training.snapshot import NotFiniteError, num_bytes, snapshot
from lambdanets.whole_file import NotWrittenError

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["at once", "in a thread"])


def state(step: int, numbers: int = 50) -> dict:
    return {"step": step, "model": {"weight": torch.full((numbers,), float(step))}}


def open_saver(folder: Path, told: list[str], asynchronous: bool = False) -> Saver:
    return Saver(folder, CheckpointConfig(asynchronous=asynchronous), told.append)


def save_all(saver: Saver, *steps: int) -> None:
    for step in steps:
        saver.save(step, state(step))
    saver.close()


def newest(folder: Path) -> int:
    loaded, complaints = load_newest(folder)
    assert complaints == []
    assert loaded is not None
    assert (loaded["model"]["weight"] == loaded["step"]).all()
    return loaded["step"]


@BOTH
def test_what_was_saved_is_there_after_closing(tmp_path: Path, asynchronous: bool) -> None:
    told: list[str] = []
    with open_saver(tmp_path / "checkpoints", told, asynchronous) as saver:
        for step, score in ((1, 0.9), (2, 0.1), (3, 0.2), (4, 0.3)):
            saver.save(step, state(step), score=score)
    assert newest(tmp_path / "checkpoints") == 4
    best = best_checkpoint(tmp_path / "checkpoints")
    assert best == (tmp_path / "checkpoints" / "step-00000001", 0.9)
    assert len(list_checkpoints(tmp_path / "checkpoints")) == 3
    assert told == []


def test_training_on_while_a_copy_is_written_changes_nothing(tmp_path: Path) -> None:
    weight, gate = torch.ones(100), threading.Event()
    with open_saver(tmp_path, [], asynchronous=True) as saver, armed("save: open", lambda _: gate.wait(60)):
        saver.save(1, {"step": 1, "model": {"weight": weight}})
        weight.fill_(7.0)
        saver.check()
        assert list_checkpoints(tmp_path) == []
        gate.set()
        saver.close()
    assert newest(tmp_path) == 1


@BOTH
def test_one_error_is_told_and_the_next_save_is_fine(tmp_path: Path, asynchronous: bool) -> None:
    told: list[str] = []
    with armed("save: mid-write", "raise EIO", at=2), open_saver(tmp_path, told, asynchronous) as saver:
        for step in (1, 2, 3):
            saver.save(step, state(step))
    assert newest(tmp_path) == 3
    assert told == [
        f"{tmp_path / 'step-00000001'} could not be written: Input/output error. "
        "Training goes on, the next save tries again (1 of 3 failed)."
    ]


@BOTH
def test_the_last_save_is_tried_again_at_once(tmp_path: Path, asynchronous: bool) -> None:
    told: list[str] = []
    with armed("save: before fsync", "raise EIO"), open_saver(tmp_path, told, asynchronous) as saver:
        saver.save(1, state(1))
    assert newest(tmp_path) == 1
    assert len(told) == 1


@BOTH
@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT"])
def test_the_third_failure_in_a_row_ends_it_and_the_one_before_is_whole(
    tmp_path: Path, asynchronous: bool, name: str
) -> None:
    told: list[str] = []
    saver = open_saver(tmp_path, told, asynchronous)
    save_all(saver, 1, 2, 3)
    with armed("save: mid-write", f"raise {name}", times=99), pytest.raises(SaveFailedError) as failed:
        save_all(saver, 4, 5, 6)
    said = " ".join(told) + str(failed.value)
    assert failed.value.errno == getattr(errno, name)
    assert f"{tmp_path / 'step-00000006'} could not be written: {os.strerror(getattr(errno, name))} (200 bytes" in said
    assert " free). 3 saves in a row have failed; the last one that is whole is step-00000003." in str(failed.value)
    assert len(told) == 2
    assert newest(tmp_path) == 3
    saver.close()  # has nothing left to try


def test_failures_that_are_not_in_a_row_do_not_end_it(tmp_path: Path) -> None:
    told: list[str] = []
    with open_saver(tmp_path, told) as saver:
        for step in range(1, 9):
            with armed("save: open", "raise ENOSPC", at=1 + step % 2):
                saver.save(step, state(step))
    assert len(told) == 4
    assert newest(tmp_path) == 8


@BOTH
def test_a_state_that_is_not_finite_is_refused_at_once(tmp_path: Path, asynchronous: bool) -> None:
    with open_saver(tmp_path, [], asynchronous) as saver:
        saver.save(1, state(1), score=0.5)
        with pytest.raises(NotFiniteError, match=r"\(model.weight\): it is not saved"):
            saver.save(2, {"step": 2, "model": {"weight": torch.tensor([1.0, float("nan")])}}, score=0.9)
    assert newest(tmp_path) == 1
    assert best_checkpoint(tmp_path) == (tmp_path / "step-00000001", 0.5)


@pytest.mark.parametrize("thing", [np.float64(1), {1, 2}, Path("x"), print], ids=lambda thing: type(thing).__name__)
def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path, thing: object) -> None:
    with open_saver(tmp_path, []) as saver, pytest.raises(TypeError, match="a checkpoint cannot hold"):
        saver.save(1, {"extra": [thing]})
    assert list_checkpoints(tmp_path) == []


@BOTH
@pytest.mark.parametrize("what", ["run", "checkpoints"])
def test_a_folder_that_is_deleted_is_told_at_once(tmp_path: Path, asynchronous: bool, what: str) -> None:
    (tmp_path / "run").mkdir()
    saver = open_saver(tmp_path / "run" / "checkpoints", [], asynchronous)
    saver.save(1, state(1))
    saver.close()
    shutil.rmtree(tmp_path / "run" if what == "run" else tmp_path / "run" / "checkpoints")
    with pytest.raises(SaveFailedError, match="It was removed or replaced while the run trained"):
        saver.save(2, state(2))
    saver.close()
    assert not (tmp_path / "run" / "checkpoints").exists()


@BOTH
def test_a_folder_that_is_deleted_during_a_save_is_told_by_it(tmp_path: Path, asynchronous: bool) -> None:
    (tmp_path / "run").mkdir()
    saver = open_saver(tmp_path / "run" / "checkpoints", [], asynchronous)
    with (
        armed("save: before rename", lambda _: shutil.rmtree(tmp_path / "run")),
        pytest.raises(SaveFailedError, match=r"No such file or directory\. The run's folder was removed"),
    ):
        save_all(saver, 1)
    saver.close()
    assert not (tmp_path / "run").exists()


def test_a_folder_that_another_run_has_taken_is_not_written_into(tmp_path: Path) -> None:
    saver = open_saver(tmp_path / "checkpoints", [])
    saver.save(1, state(1))
    shutil.rmtree(tmp_path / "checkpoints")
    open_saver(tmp_path / "checkpoints", []).save(5, state(5))
    with pytest.raises(SaveFailedError, match="removed or replaced"):
        saver.save(2, state(2))
    assert [path.name for path in list_checkpoints(tmp_path / "checkpoints")] == ["step-00000005"]


def test_a_rotten_name_of_the_run_is_mended(tmp_path: Path) -> None:
    saver = open_saver(tmp_path, [])
    saver.save(1, state(1))
    before = (tmp_path / "run.json").read_bytes()
    (tmp_path / "run.json").write_bytes(before[:-9])
    saver.save(2, state(2))
    assert (tmp_path / "run.json").read_bytes() == before
    assert newest(tmp_path) == 2


def test_a_rotten_best_gives_way(tmp_path: Path) -> None:
    open_saver(tmp_path, []).save(1, state(1), score=0.9)
    (tmp_path / "step-00000001" / "state.pt").write_bytes(b"rot")
    told: list[str] = []
    saver = open_saver(tmp_path, told)
    saver.save(2, state(2), score=0.4)
    assert "step-00000001, the best so far, has rotted" in told[0]
    assert best_checkpoint(tmp_path) == (tmp_path / "step-00000002", 0.4)


def test_leftovers_are_removed_at_the_start(tmp_path: Path) -> None:
    open_saver(tmp_path, []).save(1, state(1))
    shutil.copytree(tmp_path / "step-00000001", tmp_path / "step-00000002.tmp")
    (tmp_path / "run.json.77.tmp").touch()
    open_saver(tmp_path, [])
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "step-00000001"}


def test_no_memory_for_a_save_counts_as_a_failed_save(tmp_path: Path) -> None:
    told: list[str] = []
    with armed("save: open", "raise MemoryError"), open_saver(tmp_path, told) as saver:
        saver.save(1, state(1))
    assert "no memory left" in told[0]
    assert newest(tmp_path) == 1


@BOTH
def test_an_error_of_ours_is_not_swallowed(tmp_path: Path, asynchronous: bool) -> None:
    saver = open_saver(tmp_path, [], asynchronous)
    with armed("save: open", "raise RuntimeError"), pytest.raises(RuntimeError, match="a fault on purpose"):
        save_all(saver, 1)


def test_an_error_on_its_way_is_not_replaced_by_one_of_saving(tmp_path: Path) -> None:
    def fail_while_saving() -> None:
        with open_saver(tmp_path, [], asynchronous=True) as saver:
            saver.save(1, state(1))
            raise ZeroDivisionError

    with armed("save: open", "raise ENOSPC", times=9), pytest.raises(ZeroDivisionError):
        fail_while_saving()


def test_a_place_that_cannot_be_written_is_refused_before_the_first_step(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(NotWrittenError, match="checkpoints could not be written: "):
        open_saver(tmp_path / "checkpoints", [])


def test_a_snapshot_is_no_view_and_keeps_what_is_tied_tied() -> None:
    weight = torch.zeros(10)
    copied = snapshot({"a": weight[2:4], "b": [weight[2:4], (1, True, None, "x")], "c": weight})
    weight.fill_(1.0)
    assert copied["a"].sum() == copied["c"].sum() == 0
    assert copied["a"] is copied["b"][0]
    assert copied["a"].untyped_storage().nbytes() == 8
    assert copied["b"][1] == (1, True, None, "x")
    assert num_bytes(copied) == 8 + 8 + 40


def test_the_same_state_gives_the_same_file(tmp_path: Path) -> None:
    sums = set()
    for name, asynchronous in (("one", False), ("two", True)):
        with open_saver(tmp_path / name, [], asynchronous) as saver:
            saver.save(1, state(1))
        sums.add(hashlib.sha256((tmp_path / name / "step-00000001" / "state.pt").read_bytes()).hexdigest())
        says = json.loads((tmp_path / name / "step-00000001" / "manifest.json").read_text())
        assert says["files"]["state.pt"]["sha256"] in sums
    assert len(sums) == 1
    assert load_checkpoint(tmp_path / "one" / "step-00000001")["step"] == 1
