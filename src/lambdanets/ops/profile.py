"""What `lambdanets tune` finds out about a machine, and the file of JSON that it is kept in: "auto:FILE" goes by it."""

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lambdanets.ops.cost import Cost
from lambdanets.ops.launch import Launch
from lambdanets.whole_file import write_whole

Factors = Mapping[str, tuple[float, float]]
"""By kind of work: seconds a predicted second, forward and backward, 0 or more."""


@dataclass(frozen=True)
class Profile:
    """How a device differs from the built-in one; the choice is a pure function of the problem and of this."""

    machine: str = "built-in"
    """Where it was measured."""
    factors: Mapping[str, Factors] = field(default_factory=dict)
    """By order; an order that is not here takes as long as predicted."""
    device: str = "cpu"
    """The kind of device that it is of, and the only one it says anything about."""
    launches: tuple[Launch, ...] = ()
    """Rows of the launch table of the fused kernels that were found faster than the built-in ones; of a GPU alone."""

    def on(self, device: str) -> "Profile":
        """What to predict by on a kind of device: this profile, or the built-in one if this is of another kind."""
        return self if device == self.device else BUILT_IN

    def seconds(self, order: str, cost: Cost, backward: bool) -> float:
        """Predicted time of one pass of the named order."""
        factors = self.factors.get(order, {})
        return sum(factors.get(kind, (1.0, 1.0))[backward] * seconds for kind, seconds in cost.parts.items())

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        write_whole(path, (json.dumps(asdict(self), indent=1) + "\n").encode())


BUILT_IN = Profile()


@functools.lru_cache(maxsize=8)
def load_profile(path: str) -> Profile:
    """The profile that `lambdanets tune` wrote to this file.

    Raises:
        ValueError: there is no such file, or it holds no profile.
    """
    try:
        return _profile(json.loads(Path(path).read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"got the profile {path!r}, which cannot be read as one ({error}); write one with `lambdanets tune --out`"
        ) from error


def _profile(stored: Any) -> Profile:
    factors = {
        order: {kind: (_factor(forward), _factor(backward)) for kind, (forward, backward) in kinds.items()}
        for order, kinds in stored["factors"].items()
    }
    launches = tuple(Launch(**row) for row in stored["launches"])
    if len({row.architecture for row in launches}) > 1:
        raise ValueError("got launch rows of several GPUs; want those of one")
    return Profile(str(stored["machine"]), factors, str(stored["device"]), launches)


def _factor(stored: Any) -> float:
    if not 0 <= float(stored) < float("inf"):
        raise ValueError(f"got a factor of {stored}; want 0 or more")
    return float(stored)
