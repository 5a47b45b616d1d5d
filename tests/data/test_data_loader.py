"""Whatever happens to worker processes, every batch arrives once, in order, the same."""

import gc
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from loading import SIZE, TWO, Make, assert_complete, loaded, no_workers_left, requests

from lambdanets.data.loader import LoaderConfig, LoaderError, load_batches


@pytest.mark.parametrize("pin", [False, True], ids=["as-it-is", "pinned"])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_order_whoever_makes_them(workers: int, pin: bool) -> None:
    values, told = loaded(Make(), LoaderConfig(workers=workers), pin=pin)
    assert_complete(values)
    assert told == []


def test_loading_begins_where_it_is_asked_to() -> None:
    batches = load_batches(Make(), lambda first: requests(9, first), 5, TWO, pin=False, warn=pytest.fail)
    assert [int(batch.values[0, 0]) // 1000 // SIZE for batch in batches] == [5, 6, 7, 8]


def test_a_short_list_of_requests_is_enough_for_many_workers() -> None:
    assert_complete(loaded(Make(), LoaderConfig(workers=3, prefetch=4), num_steps=2)[0], num_steps=2)
    assert loaded(Make(), TWO, num_steps=0)[0] == []


def test_workers_make_batches_ahead_of_need_and_elsewhere() -> None:
    batches = load_batches(Make(), lambda first: requests(99, first), 0, TWO, pin=False, warn=pytest.fail)
    makers = {next(batches).by for _ in range(6)}
    batches.close()  # type: ignore[attr-defined]
    assert len(makers) == 2
    assert os.getpid() not in makers


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [("die", "was killed by SIGKILL"), ("leave", "ended with exit code 0"), ("freeze", "gave nothing for 1 seconds")],
)
@pytest.mark.parametrize("pin", [False, True], ids=["as-it-is", "pinned"])
def test_a_lost_worker_is_replaced_and_nothing_is_lost(trouble: str, reason: str, pin: bool, tmp_path: Path) -> None:
    values, told = loaded(Make(trouble, at=5, marks=tmp_path), replace(TWO, timeout=1), pin=pin)
    assert_complete(values)
    assert len(told) == 1
    assert reason in told[0]
    assert "at the batch of step 5" in told[0]


def test_a_worker_that_is_slow_is_waited_for(tmp_path: Path) -> None:
    values, told = loaded(Make("dawdle", at=3, marks=tmp_path), replace(TWO, timeout=10))
    assert_complete(values)
    assert told == []


@pytest.mark.parametrize("trouble", ["die", "sleep"])
def test_a_batch_that_no_worker_survives_ends_in_a_sentence(trouble: str) -> None:
    with pytest.raises(LoaderError, match=r"step 2, and so did those before it: no batch came from 3 workers in a row"):
        loaded(Make(trouble, at=2), LoaderConfig(workers=2, timeout=0.5, restarts=2))
    assert no_workers_left()


@pytest.mark.parametrize("workers", [0, 2])
def test_what_making_a_batch_raises_arrives_in_its_turn(workers: int) -> None:
    batches = load_batches(
        Make("fail", at=4),
        lambda first: requests(9, first),
        0,
        LoaderConfig(workers=workers),
        pin=False,
        warn=pytest.fail,
    )
    assert len([next(batches) for _ in range(4)]) == 4
    with pytest.raises(ValueError, match="no such sample: 17") as caught:
        next(batches)
    assert workers == 0 or "in fail" in caught.value.__notes__[0]
    assert no_workers_left()


def test_an_error_that_cannot_be_sent_is_told_in_words() -> None:
    with pytest.raises(RuntimeError, match="OddError: odd"):
        loaded(Make("fail_oddly", at=1), TWO)


def test_without_room_between_processes_batches_are_made_here(tmp_path: Path) -> None:
    values, told = loaded(Make("starve", at=3, marks=tmp_path), TWO)
    assert_complete(values)
    assert len(told) == 1
    assert "no room to hand batches" in told[0]
    assert no_workers_left()


SMALL_SHM = """
import sys; sys.path.insert(0, {folder!r})
import torch
from lambdanets.data.loader import LoaderConfig
from loading import Make, loaded
if __name__ == "__main__":
    values, told = loaded(Make(shape=(3, 256, 256)), LoaderConfig(workers=2), num_steps=3)
    print(len(values), told)
"""


@pytest.mark.slow
def test_a_full_shared_memory_folder_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SMALL_SHM.format(folder=str(Path(__file__).parent)))
    mounted = "mount -t tmpfs -o size=4k none /dev/shm && exec"
    shell = ["unshare", "-rm", "sh", "-c", f'{mounted} "$@"', "sh"]
    if subprocess.run([*shell, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    done = subprocess.run([*shell, sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=False)
    assert done.stdout == "3 []\n", done.stderr


def test_starting_workers_draws_no_random_number() -> None:
    states = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]
    loaded(Make(), TWO)
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]
    assert after == states


def test_no_open_file_and_no_process_is_left(tmp_path: Path) -> None:
    loaded(Make(), TWO)
    gc.collect()  # what the tests before this one left unclosed is theirs: closed later, it would lower the count
    before = psutil.Process().num_fds()
    for trouble in ("die", "leave"):
        loaded(Make(trouble, at=1, marks=tmp_path), TWO)
    assert psutil.Process().num_fds() <= before
    assert no_workers_left()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"workers": -1}, r"loader\.workers: got -1, wanted 0 or more"),
        ({"prefetch": 0}, r"loader\.prefetch: got 0, wanted 1 or more"),
        ({"restarts": -1}, r"loader\.restarts: got -1, wanted 0 or more"),
        ({"timeout": 0.0}, r"loader\.timeout: got 0\.0, wanted seconds above 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_numbers_without_sense_are_refused(change: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        LoaderConfig(**change)  # type: ignore[arg-type]


@pytest.mark.slow
def test_thirty_runs_with_a_worker_lost_at_a_random_time_lose_nothing(tmp_path: Path) -> None:
    """The worker is killed or stopped from outside, at whatever it is doing."""
    chance = random.Random(0)
    for run in range(30):
        told: list[str] = []
        config = LoaderConfig(workers=1 + run % 3, prefetch=1 + run % 2, timeout=2)
        make = Make("dawdle", at=20, marks=tmp_path, shape=(64, 64))
        batches = load_batches(make, lambda first: requests(40, first), 0, config, pin=run % 5 == 0, warn=told.append)
        values, strikes = [], sorted(chance.sample(range(1, 35), 3))
        for number, batch in enumerate(batches):
            values.append(batch.values[:, :3, 0].clone())
            if number in strikes:
                time.sleep(chance.random() * 0.02)
                os.kill(batch.by, chance.choice([signal.SIGKILL, signal.SIGSTOP])) if psutil.pid_exists(batch.by) else 0
        assert_complete(values, 40)
        assert len(told) <= 3
        assert no_workers_left()
