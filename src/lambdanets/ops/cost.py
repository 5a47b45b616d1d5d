"""What an order costs: multiply-adds and memory in the paper's letters, and the time they should take on a machine."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from lambdanets.ops.measured_prices import MEASURED
from lambdanets.ops.problem import Problem

Work = dict[str, int | float]
"""How much of each kind of work the forward pass of an order does."""
Prices = Mapping[str, tuple[float, float]]
"""Seconds that one of each kind of work takes, forward and backward; in the orders' modules on one core of a CPU.

That is a server with AVX-512, near 90 G multiply-adds a second in a large fp32 matrix product; `measured_prices` has
those of other kinds of machines. The prices of all orders were fitted at once, non-negative and by relative error, to
random problems: `python -m benchmarks.prices`.
"""


@dataclass(frozen=True)
class Cost:
    """The price of one pass (forward or backward) of one order on one problem."""

    multiply_adds: int
    """Real multiply-adds."""
    extra_bytes: int
    """Peak memory beyond inputs and outputs."""
    parts: Mapping[str, float]
    """By kind of work, predicted seconds on the built-in machine of the problem's device: a core of a CPU, or a GPU."""

    @property
    def seconds(self) -> float:
        """Predicted time of all the work."""
        return sum(self.parts.values())


def predicted(problem: Problem, order: str, work: Work, prices: Prices, backward: bool) -> dict[str, float]:
    """Seconds of each kind of work by the prices measured on the problem's kind of machine, or else by those given."""
    known = {**prices, **MEASURED.get(machine_of(problem), {}).get(order, {})}
    return {kind: known[kind][backward] * count for kind, count in work.items()}


def machine_of(problem: Problem) -> tuple[str, int]:
    """The kind of machine that computes the problem, and the bytes of its numbers; on a CPU 4 for all."""
    if problem.device == "cpu":
        return _cpu(), 4
    return problem.device, min(4, problem.itemsize)


@functools.cache
def _cpu() -> str:
    return "cpu" if "AVX512" in torch.backends.cpu.get_cpu_capability() else "cpu without AVX-512"


def is_measured(problem: Problem) -> bool:
    """Whether the built-in prices were measured on the problem's kind of device, in numbers as wide as its own."""
    return problem.device == "cpu" or machine_of(problem) in MEASURED
