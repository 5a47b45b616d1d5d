"""Whatever happens to worker processes, every batch arrives once, in order, the same."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor

from lambdanets.data.loader import LoaderConfig, LoaderError, Request, load_batches

SIZE = 4
TWO = LoaderConfig(workers=2, timeout=20)


class Numbers(NamedTuple):
    """A batch that tells which samples it has, and who made it."""

    values: Tensor
    by: int

    def pin_memory(self) -> "Numbers":
        return Numbers(self.values + 0, self.by)


@dataclass(frozen=True)
class Make:
    """Makes batches, and does something bad at one step, once (there is a mark in the folder then) or each time."""

    trouble: str = ""
    at: int = -1
    marks: Path | None = None
    shape: tuple[int, ...] = (3,)

    def __call__(self, request: Request) -> Numbers:
        if request.step == self.at and self._strikes():
            getattr(self, self.trouble)()
        values = torch.from_numpy(request.indices * 1000 + request.epochs).float()
        return Numbers(values.reshape(-1, *[1] * len(self.shape)).expand(-1, *self.shape), os.getpid())

    def _strikes(self) -> bool:
        if self.marks is None:
            return True
        mark = self.marks / f"{self.trouble}-{self.at}"
        first = not mark.exists()
        mark.write_text("")
        return first

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self) -> None:
        os._exit(0)

    def freeze(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def sleep(self) -> None:
        time.sleep(1000)

    def dawdle(self) -> None:
        time.sleep(1.5)

    def fail(self) -> None:
        raise ValueError("no such sample: 17")

    def fail_oddly(self) -> None:
        raise OddError(1, 2)

    def starve(self) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


class OddError(Exception):
    """One that does not survive pickling."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("odd")
        self.two = two


def requests(num_steps: int, first: int = 0) -> Iterator[Request]:
    for step in range(first, num_steps):
        indices = np.arange(step * SIZE, (step + 1) * SIZE)
        yield Request(step, indices, np.full_like(indices, step % 3))


def loaded(
    make: Make, config: LoaderConfig, num_steps: int = 12, *, pin: bool = False
) -> tuple[list[Tensor], list[str]]:
    """All batches of that many steps, and what was warned of."""
    told: list[str] = []
    batches = load_batches(make, lambda first: requests(num_steps, first), 0, config, pin=pin, warn=told.append)
    return [batch.values.clone() for batch in batches], told


def assert_complete(values: list[Tensor], num_steps: int = 12) -> None:
    """Every sample of every step, once and in order."""
    wanted = [Make()(request).values for request in requests(num_steps)]
    assert len(values) == len(wanted)
    assert all(torch.equal(got, want) for got, want in zip(values, wanted, strict=True))


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
from test_data_loader import Make, loaded
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
    before = psutil.Process().num_fds()
    for trouble in ("die", "leave"):
        loaded(Make(trouble, at=1, marks=tmp_path), TWO)
    assert psutil.Process().num_fds() == before
    assert no_workers_left()


MAIN = """
import sys; sys.path.insert(0, {folder!r})
import os, time
from lambdanets.data.loader import LoaderConfig, load_batches
from test_data_loader import Make, requests
if __name__ == "__main__":
    {first}
    make = Make({trouble!r}, at=9 if {trouble!r} else -1)
    batches = load_batches(make, lambda first: requests(10**6, first), 0, LoaderConfig(workers=2),
                           pin=False, warn=print)
    print(*{{next(batches).by for _ in range(4)}}, flush=True)
    {then}
"""


def started(
    tmp_path: Path, then: str, trouble: str = "", first: str = "pass"
) -> tuple[subprocess.Popen[str], list[int]]:
    """A process with two workers, and their numbers."""
    script = tmp_path / "main.py"
    script.write_text(MAIN.format(folder=str(Path(__file__).parent), then=then, trouble=trouble, first=first))
    main = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert main.stdout is not None
    return main, [int(word) for word in main.stdout.readline().split()]


def gone(pids: list[int], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while alive := [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]:
        if time.monotonic() > deadline:
            return not alive
        time.sleep(0.05)
    return True


def no_workers_left() -> bool:
    return not [child for child in psutil.Process().children() if child.name().startswith("loader")]


def test_workers_do_not_outlive_a_killed_process(tmp_path: Path) -> None:
    main, workers = started(tmp_path, "for _ in batches: pass", trouble="sleep")
    main.kill()
    assert len(workers) == 2
    assert gone(workers)
    main.communicate()


def test_interrupting_everybody_ends_the_process_cleanly(tmp_path: Path) -> None:
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # ignored in the background
    main, workers = started(tmp_path, "for _ in batches: pass", trouble="sleep", first=hear)
    os.killpg(main.pid, signal.SIGINT)
    _, said = main.communicate(timeout=20)
    assert said.count("Traceback") == 1
    assert said.strip().endswith("KeyboardInterrupt")
    assert gone(workers)


def test_workers_go_on_while_everybody_is_told_to_end(tmp_path: Path) -> None:
    ignore = "import signal; signal.signal(signal.SIGTERM, lambda *_: None)"
    go_on = "time.sleep(1); print(*{next(batches).by for _ in range(20)}, flush=True); os._exit(0)"
    main, workers = started(tmp_path, go_on, first=ignore)
    os.killpg(main.pid, signal.SIGTERM)
    said, complaint = main.communicate(timeout=20)
    assert {int(word) for word in said.split()} == set(workers)
    assert complaint == ""
    assert gone(workers)


@pytest.mark.slow
def test_the_end_of_the_process_ends_workers_that_nobody_closed(tmp_path: Path) -> None:
    main, workers = started(tmp_path, "import builtins; builtins.kept = batches")
    _, complaint = main.communicate(timeout=20)
    assert (main.returncode, complaint) == (0, "")
    assert gone(workers)


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
