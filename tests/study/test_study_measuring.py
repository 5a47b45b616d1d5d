import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lambdanets.study.measuring import (
    OUT_OF_MEMORY,
    TOO_SLOW,
    copy_rate,
    cpu_name,
    fresh_peak,
    gemm_rate,
    in_fresh_process,
    interleaved,
    one_thread,
    step_call,
    training_call,
)

MIB = 2**20
HERE = Path(__file__).stem


@pytest.fixture(autouse=True)
def found_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets fresh processes import this file."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def twice(mib: int) -> Callable[[], object]:
    """A call that holds two arrays of so many MiB at once."""
    return lambda: torch.ones(2, mib * MIB // 4)


def endless() -> Callable[[], object]:
    while True:
        pass


def wrong() -> Callable[[], object]:
    raise KeyError("no such network")


def test_calls_are_run_in_turn_and_timed() -> None:
    ran, now = [], [0.0]

    def call(name: str, took: float) -> Callable[[], object]:
        def run() -> None:
            ran.append(name)
            now[0] += took

        return run

    times = interleaved({"a": call("a", 1.0), "b": call("b", 9.0)}, seconds=5, rounds=4, clock=lambda: now[0])
    assert times == {"a": 1.0, "b": 9.0}
    assert "".join(ran) == "ab" + "ababab" + "aa"  # five seconds of a, three rounds of the slow b


def test_a_stopwatch_may_tell_the_seconds() -> None:
    watch = {"a": 0.5, "b": 0.25}
    ran: list[str] = []

    def timed(call: Callable[[], object]) -> float:
        call()
        return watch[ran[-1]]

    calls = {name: lambda name=name: ran.append(name) for name in watch}
    assert interleaved(calls, seconds=0.01, rounds=3, watch=timed) == watch
    assert len(ran) == 8


def test_rates_are_those_of_now() -> None:
    assert gemm_rate(64) > 1e6
    assert gemm_rate(64, dtype=torch.bfloat16) > 1e5
    assert copy_rate(2**16) > 1e6


def test_training_calls_leave_no_gradients() -> None:
    layer = torch.nn.Linear(3, 2)
    training_call(layer, torch.randn(4, 3))()
    assert layer.weight.grad is None


def test_one_thread_is_given_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_the_peak_is_what_the_call_holds() -> None:
    peak = fresh_peak(f"{HERE}:twice", limit=2**30, mib=48)
    assert isinstance(peak, int)
    assert 95 * MIB < peak < 105 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="limits are the system's")
def test_running_out_of_memory_is_an_answer() -> None:
    assert fresh_peak(f"{HERE}:twice", limit=64 * MIB, mib=48) == OUT_OF_MEMORY


@pytest.mark.skipif(sys.platform != "linux", reason="limits are the system's")
def test_other_failures_are_told() -> None:
    with pytest.raises(RuntimeError, match="no such network"):
        fresh_peak(f"{HERE}:wrong", limit=2**30)


def test_running_out_of_time_is_an_answer() -> None:
    assert fresh_peak(f"{HERE}:endless", limit=2**30, timeout=1) == TOO_SLOW


def test_the_last_line_of_a_fresh_process() -> None:
    assert in_fresh_process("platform")
    assert in_fresh_process("lambdanets.no_such_module") is None


def test_the_processor_has_a_name() -> None:
    assert "(" in cpu_name()


def test_a_training_step_changes_the_network() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
    before = model[1].weight.detach().clone()
    step_call(model, torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 2, 3]))()
    assert not torch.equal(model[1].weight, before)
