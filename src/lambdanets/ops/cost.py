"""What an order costs: multiply-adds and memory in the paper's letters, and the time they should take on a machine."""

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

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
    seconds: float
    """Predicted time on the built-in machine of the problem's device: one core of a CPU like this one, or a GPU."""


def total(work: Work, prices: Prices, backward: bool) -> float:
    """Seconds that this much work of each kind takes."""
    return sum(prices[kind][backward] * count for kind, count in work.items())


def predicted(problem: Problem, order: str, work: Work, prices: Prices, backward: bool) -> float:
    """Seconds of the work by the prices measured on the problem's kind of machine; by those given where none were."""
    return total(work, {**prices, **MEASURED.get(machine_of(problem), {}).get(order, {})}, backward)


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


@dataclass(frozen=True)
class Pace:
    """How a machine's time for one pass of an order follows from the built-in prediction."""

    factor: float = 1.0
    """Seconds a predicted second, above 0."""
    overhead: float = 0.0
    """Seconds a call, 0 or more."""


@dataclass(frozen=True)
class Profile:
    """A device's paces by order and pass; the choice is a pure function of the problem and of this."""

    machine: str = "built-in"
    """Where it was measured."""
    forward: Mapping[str, Pace] = field(default_factory=dict)
    backward: Mapping[str, Pace] = field(default_factory=dict)
    device: str = "cpu"
    """The kind of device that it is of, and the only one it says anything about."""

    def on(self, device: str) -> "Profile":
        """What to predict by on a kind of device: this profile, or the built-in one if this is of another kind."""
        return self if device == self.device else BUILT_IN

    def seconds(self, order: str, cost: Cost, backward: bool) -> float:
        """Predicted time of one pass of the named order."""
        pace = (self.backward if backward else self.forward).get(order, Pace())
        return pace.factor * cost.seconds + pace.overhead

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


BUILT_IN = Profile()


@functools.lru_cache(maxsize=8)
def load_profile(path: str) -> Profile:
    """The profile that `lambdanets tune` wrote to this file.

    Raises:
        ValueError: there is no such file, or it holds no profile.
    """
    try:
        stored = json.loads(Path(path).read_text())
        passes = [{name: Pace(**pace) for name, pace in stored[side].items()} for side in ("forward", "backward")]
        return Profile(str(stored["machine"]), *passes, device=str(stored.get("device", "cpu")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"got the profile {path!r}, which cannot be read as one ({error}); write one with `lambdanets tune --out`"
        ) from error
