"""What is measured of layers on a GPU: the cases, the modes, the contenders, and how long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from benchmarks.cases import GPU_CASES, Case
from benchmarks.gpu_rivals import GPU_CONTENDERS
from benchmarks.peers import Contender

MODES = ("eager", "orders", "compiled")
RATES, TIMING = "rates", "timing"
"""The key of the device's rates; the step in which the calls that run are timed."""
DTYPE = torch.bfloat16
PASSES = ("forward", "training")
"""Forward without gradients; forward and backward."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured, and how long."""

    device: str
    cases: tuple[Case, ...] = GPU_CASES
    modes: tuple[str, ...] = MODES
    contenders: tuple[Contender, ...] = GPU_CONTENDERS
    seconds: float = 0.5
    """For each call in all."""
    matrix: int = 8192
    """Side of the matrices whose product gives the device's rate."""
    copied: int = 2**30
    """Numbers in fp32 whose copy gives its other rate."""

    @property
    def keys(self) -> list[str]:
        """Everything, cheap modes of all cases before dear ones of the first."""
        return [RATES, *(key_of(case, mode) for mode in self.modes for case in self.cases)]


def plan_of(
    device: str, names: Sequence[str], modes: Sequence[str], contenders: Sequence[str], *, quick: bool = False
) -> Plan:
    """The plan for parts of case names, modes and parts of contender names; all where none is given.

    Raises:
        ValueError: a name fits nothing; says what there is.
    """
    cases = _fitting(names, {case.name: case for case in GPU_CASES}, "case")
    if quick and not names:
        cases = GPU_CASES[:4]
    chosen = _fitting(contenders, {one.name: one for one in GPU_CONTENDERS}, "contender")
    if "ours" not in {one.name for one in chosen}:
        chosen = (GPU_CONTENDERS[0], *chosen)  # everything is told relative to ours
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown:
        raise ValueError(f"got the mode {unknown[0]!r}; there are {', '.join(MODES)}")
    return Plan(
        device=device, cases=cases, modes=tuple(modes) or MODES, contenders=chosen, seconds=0.15 if quick else 0.5
    )


def _fitting(parts: Sequence[str], there: Mapping[str, T], what: str) -> tuple[T, ...]:
    for part in parts:
        if not any(part in name for name in there):
            raise ValueError(f"got the {what} {part!r}; there are: {', '.join(there)}")
    return tuple(one for name, one in there.items() if not parts or any(part in name for part in parts))


def key_of(case: Case, mode: str) -> str:
    """The key of a case in a mode."""
    return f"{case.name} | {mode}"
