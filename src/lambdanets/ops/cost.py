"""What an order costs: multiply-adds and memory in the paper's letters, and the time they should take on a machine."""

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

Work = dict[str, int | float]
"""How much of each kind of work the forward pass of an order does."""
Prices = Mapping[str, tuple[float, float]]
"""Seconds that one of each kind of work takes, forward and backward, on one core of the built-in machine.

That is a server with AVX-512, near 90 G multiply-adds a second in a large fp32 matrix product. The prices of all orders
were fitted at once, non-negative and by relative error, to random problems: `python -m benchmarks.prices`.
"""


@dataclass(frozen=True)
class Cost:
    """The price of one pass (forward or backward) of one order on one problem."""

    multiply_adds: int
    """Real multiply-adds."""
    extra_bytes: int
    """Peak memory beyond inputs and outputs."""
    seconds: float
    """Predicted time on one core of the built-in machine."""


def total(work: Work, prices: Prices, backward: bool) -> float:
    """Seconds that this much work of each kind takes."""
    return sum(prices[kind][backward] * count for kind, count in work.items())


@dataclass(frozen=True)
class Pace:
    """How a machine's time for one pass of an order follows from the built-in prediction."""

    factor: float = 1.0
    """Seconds a predicted second, above 0."""
    overhead: float = 0.0
    """Seconds a call, 0 or more."""


@dataclass(frozen=True)
class Profile:
    """A machine's paces by order and pass; the choice is a pure function of the problem and of this."""

    machine: str = "built-in"
    """Where it was measured."""
    forward: Mapping[str, Pace] = field(default_factory=dict)
    backward: Mapping[str, Pace] = field(default_factory=dict)

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
        return Profile(str(stored["machine"]), *passes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"got the profile {path!r}, which cannot be read as one ({error}); write one with `lambdanets tune --out`"
        ) from error
