"""What a step costs beyond its arithmetic, from the records of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from lambdanets.training.journal import Record

ARITHMETIC = ("forward", "backward", "optimizer")
"""What a step is for; everything else is the loop's cost."""
PARTS = ("data", *ARITHMETIC, "rest", "keeping")
"""What a step is made of, in order: waiting for the batch; the arithmetic; averaging and counting; records and saves.

Judging is not among them: it is done once in many steps.
"""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Where the time of the steps of a run went."""

    num_steps: int
    seconds: dict[str, float]
    """Median seconds a step, by part."""
    total_seconds: dict[str, float]
    """Seconds of all steps together, by part, the slow steps that save among them."""

    @property
    def shares(self) -> dict[str, float]:
        """Each part's share of a typical step, 0…1; they sum to 1."""
        return _shares(self.seconds)

    @property
    def outside(self) -> float:
        """The share of a typical step outside forward, backward and optimizer, 0…1."""
        return 1 - sum(self.shares[part] for part in ARITHMETIC)

    @property
    def outside_of_all(self) -> float:
        """The same share of the time of all steps."""
        return 1 - sum(_shares(self.total_seconds)[part] for part in ARITHMETIC)

    @property
    def sentence(self) -> str:
        """The share for people."""
        return (
            f"{self.outside:.1%} of a step's time is outside forward, backward and optimizer "
            f"({self.outside_of_all:.1%} of all, saves included)"
        )


def profile_of(records: Sequence[Record]) -> Profile | None:
    """The profile of the steps that were recorded; None if their parts were not."""
    steps = [record for record in records if record["event"] == "step" and "forward_seconds" in record]
    if not steps:
        return None
    columns = {part: [float(step.get(f"{part}_seconds") or 0) for step in steps] for part in PARTS}
    return Profile(
        num_steps=len(steps),
        seconds={part: median(column) for part, column in columns.items()},
        total_seconds={part: sum(column) for part, column in columns.items()},
    )


def _shares(seconds: dict[str, float]) -> dict[str, float]:
    whole = max(sum(seconds.values()), 1e-12)
    return {part: value / whole for part, value in seconds.items()}
