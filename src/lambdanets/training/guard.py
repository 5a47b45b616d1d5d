"""What is done about steps whose numbers are no numbers, and about data that cannot be read."""

from dataclasses import dataclass


class DivergedError(ValueError):
    """The loss or its gradient stays NaN or infinite."""


class UnreadableDataError(ValueError):
    """Too many samples cannot be read."""


@dataclass(frozen=True, kw_only=True)
class GuardConfig:
    """How much a run puts up with."""

    bad_steps: int = 5
    """Steps in a row with a NaN or infinite loss or gradient, 1 or more, after which the run goes back to its last
    checkpoint. Each of them leaves weights, norms and average as they were."""
    rollbacks: int = 1
    """How often it goes back, each time with half the learning rate, before it gives up; 0 or more."""
    unreadable: float = 0.01
    """Share of the samples that may be unreadable, in [0, 1]; beyond it the run ends."""

    def __post_init__(self) -> None:
        """Refuse numbers outside the ranges above."""
        if self.bad_steps < 1:
            raise ValueError(f"guard.bad_steps: got {self.bad_steps}, wanted 1 or more.")
        if self.rollbacks < 0:
            raise ValueError(f"guard.rollbacks: got {self.rollbacks}, wanted 0 or more.")
        if not 0 <= self.unreadable <= 1:
            raise ValueError(f"guard.unreadable: got {self.unreadable}, wanted a number in [0, 1].")


class Guard:
    """Counts what goes wrong in a run, and says when it is too much."""

    def __init__(self, config: GuardConfig) -> None:
        self._config = config
        self._bad_in_a_row = 0
        self._seen = self._unreadable = 0.0

    def has_diverged(self, good: bool) -> bool:
        """Whether this step was one bad step too many."""
        self._bad_in_a_row = 0 if good else self._bad_in_a_row + 1
        return self._bad_in_a_row >= self._config.bad_steps

    def begin_again(self, rollbacks: int, step: int) -> None:
        """Forget the bad steps: the run is about to go back for the `rollbacks`-th time.

        Raises:
            DivergedError: that is once too often.
        """
        self._bad_in_a_row = 0
        if rollbacks > self._config.rollbacks:
            raise DivergedError(
                f"the loss, its gradient or the weights stay NaN or infinite (step {step}, after "
                f"{self._config.rollbacks} returns with half the learning rate): a lower optimizer.learning_rate, or "
                "a limit such as optimizer.clip_norm=1, usually helps."
            )

    def count_unreadable(self, samples: int, unreadable: float) -> None:
        """Take note of a batch.

        Raises:
            UnreadableDataError: more than the share that may be, and than one: the order may show the same picture
                last in an epoch and first in the next.
        """
        self._seen, self._unreadable = self._seen + samples, self._unreadable + unreadable
        share = self._config.unreadable
        allowed = share * self._seen + (1 if share else 0)
        if self._unreadable > allowed:
            raise UnreadableDataError(
                f"{self._unreadable:.0f} of {self._seen:.0f} samples cannot be read, wanted "
                f"{self._config.unreadable:.1%} at most: see skipped.txt in the run's folder, mend the data "
                "(lambdanets data check PATH lists it), or set guard.unreadable."
            )
