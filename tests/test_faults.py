import errno
import json
import re
import signal
import subprocess
import sys
import timeit
from pathlib import Path

import pytest
import torch

from lambdanets import faults
from lambdanets.faults import PLACES, Fault, arm, armed, armed_faults, become_rank, reach, read_plan, write_plan

PACKAGE = Path(faults.__file__).parent


@pytest.fixture(autouse=True)
def _nothing_stays_armed():
    yield
    assert armed_faults() == ()


def test_nothing_happens_unless_armed():
    for place in PLACES:
        reach(place, torch.zeros(1))


def test_every_place_that_is_reached_is_listed_and_those_of_saving_are_reached():
    called = {
        name
        for path in PACKAGE.rglob("*.py")
        if path.name != "faults.py"
        for name in re.findall(r'\breach\(\s*"([^"]+)"', path.read_text(encoding="utf-8"))
    }
    assert called <= set(PLACES)
    assert called >= {place for place in PLACES if place.startswith("save: ")}


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EIO"])
def test_an_error_of_the_system_at_the_second_time_for_two_times(name):
    outcomes = []
    with armed("save: open", f"raise {name}", at=2, times=2):
        for _ in range(4):
            try:
                reach("save: open")
                outcomes.append(None)
            except OSError as error:
                outcomes.append(error.errno)
    number = getattr(errno, name)
    assert outcomes == [None, number, number, None]
    reach("save: open")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("raise MemoryError", MemoryError),
        ("raise torch OOM", torch.OutOfMemoryError),
        ("raise RuntimeError", RuntimeError),
    ],
)
def test_other_errors(words, kind):
    with armed("save: open", words), pytest.raises(kind):
        reach("save: open")


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("words", ["nan", "inf"])
def test_one_number_of_a_tensor_is_spoilt(words, shape):
    tensor = torch.zeros(shape, requires_grad=True)
    with armed("save: open", words):
        reach("save: open", tensor)
    assert (~tensor.isfinite()).sum() == 1


def test_the_images_of_a_batch_and_a_gradient_of_a_model_are_spoilt():
    batch, model = (torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)), torch.nn.Linear(2, 2)
    model(torch.ones(1, 2)).sum().backward()
    with armed("step: forward", "nan"), armed("step: gradient", "inf"):
        reach("step: forward", batch)
        reach("step: gradient", model)
    assert batch[0].isnan().sum() == 1
    assert model.weight.grad is not None
    assert model.weight.grad.isinf().sum() == 1


def test_a_function_is_given_what_is_there():
    seen = []
    with armed("save: open", seen.append):
        reach("save: open", "thing")
    assert seen == ["thing"]


def test_it_may_take_long(monkeypatch):
    slept = []
    monkeypatch.setattr(faults.time, "sleep", slept.append)
    with armed("save: open", "sleep 2.5"):
        reach("save: open")
    assert slept == [2.5]


def test_a_signal_reaches_this_process():
    caught = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: caught.append(number))
    try:
        with armed("save: open", "signal SIGUSR1"):
            reach("save: open")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught == [signal.SIGUSR1]


@pytest.mark.parametrize(
    "fields",
    [
        {"place": "save: nowhere", "action": "kill"},
        {"place": "save: open", "action": "explode"},
        {"place": "save: open", "action": "raise ENOTHING"},
        {"place": "save: open", "action": "sleep soundly"},
        {"place": "save: open", "action": "kill", "at": 0},
        {"place": "save: open", "action": "kill", "often": 2},
    ],
    ids=lambda fields: str(list(fields.values())[-1]),
)
def test_a_plan_that_could_not_strike_is_refused(fields):
    with pytest.raises(ValueError, match=r"no place|nothing that can be done|strikes at the first|with the fields"):
        read_plan(json.dumps([fields]))


def test_a_plan_comes_back_from_its_text():
    plan = [Fault(place="save: open", action="exit 0", at=3, times=2, rank=1, mark="/somewhere")]
    assert read_plan(write_plan(plan)) == plan
    with pytest.raises(ValueError, match="cannot be handed to another process"):
        write_plan([Fault(place="save: open", action=print)])


def test_only_its_rank_and_only_before_it_left_its_mark(tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "_ARMED", {})
    monkeypatch.setattr(faults, "_REACHED", {})
    monkeypatch.setattr(faults, "_RANK", [])
    arm([Fault(place="save: open", action="raise EIO", times=9, rank=1, mark=str(tmp_path / "mark"))])
    reach("save: open")
    become_rank(0)
    reach("save: open")
    become_rank(1)
    with pytest.raises(OSError, match="Input/output"):
        reach("save: open")
    reach("save: open")
    monkeypatch.undo()


def run_with(plan, *words, cwd):
    command = [sys.executable, "-m", "lambdanets.faults", plan, "--", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


def test_a_training_is_started_with_a_plan_and_killed_by_it(tmp_path):
    plan = write_plan([Fault(place="save: before rename", action="kill", at=2)])
    settings = ["--set", "epochs=0.3", "--set", "checkpoint.every_steps=2", "--set", "num_threads=1"]
    done = run_with(plan, "train", "digits", "--out", "run", *settings, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["run.json", "step-00000002", "step-00000004.tmp"]


def test_a_plan_may_be_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "_ARMED", {})
    monkeypatch.setattr(faults, "_REACHED", {})
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr("runpy.run_module", lambda name, **_: None)
    plan = [Fault(place="save: open", action="kill")]
    (tmp_path / "plan.json").write_text(write_plan(plan))
    faults.main([str(tmp_path / "plan.json"), "--", "train", "digits"])
    assert armed_faults() == tuple(plan)
    assert sys.argv == ["lambdanets", "train", "digits"]
    monkeypatch.undo()


def test_a_plan_that_is_none_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"^usage: python"):
        faults.main(["[]", "train"])
    done = run_with('[{"place": "x", "action": "kill"}]', "models", cwd=tmp_path)
    assert done.returncode == 1
    assert "no place for a fault is called 'x'" in done.stderr


def test_reaching_costs_next_to_nothing():
    assert min(timeit.repeat(lambda: reach("save: open"), number=10_000, repeat=5)) / 10_000 < 5e-6
