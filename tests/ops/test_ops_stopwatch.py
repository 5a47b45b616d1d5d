"""A CPU is timed by its process's time, a GPU by two events around its work."""

import types

import pytest
import torch

from lambdanets.ops import stopwatch as module
from lambdanets.ops.stopwatch import cpu_seconds, finish, stopwatch


def test_a_cpu_is_timed_by_the_time_of_the_process() -> None:
    assert stopwatch("cpu") is cpu_seconds
    assert cpu_seconds(lambda: None) > 0
    assert cpu_seconds(lambda: sum(range(200_000))) > cpu_seconds(lambda: None)


def test_a_gpu_is_timed_between_two_events(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            done.append("record")

        def synchronize(self) -> None:
            done.append("wait")

        def elapsed_time(self, end: "Event") -> float:
            assert end is not self
            return 2.5  # milliseconds

    cache = types.SimpleNamespace(zero_=lambda: done.append("empty the cache"))
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(module.torch, "empty", lambda *_, device, **__: cache)
    assert stopwatch("cuda")(lambda: done.append("call")) == pytest.approx(2.5e-3)
    assert done == ["empty the cache", "record", "call", "record", "wait"]


def test_only_a_gpu_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    finish("cpu")
    finish("cuda:1")
    assert waited == ["cuda:1"]
