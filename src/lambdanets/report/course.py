"""How a run went from step to step: charts of its journal, and what there is to say of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, nan

from lambdanets.printable import counted
from lambdanets.report.chart import Curve, line_chart
from lambdanets.training.curves import running_mean
from lambdanets.training.journal import Record

MAX_POINTS = 300
"""Points of a curve on the page; longer ones are thinned."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """The records of a run, over the epochs."""

    records: Sequence[Record]
    num_samples: int
    """Training images in an epoch."""
    batch_size: int
    split: str
    """What the run was judged on meanwhile."""

    @cached_property
    def steps(self) -> list[Record]:
        """The records of steps."""
        return self._events("step")

    @property
    def charts(self) -> list[tuple[str, str]]:
        """(title, <svg>) each; none for a run of fewer than two steps, or of what it did not record."""
        if len(self.steps) < 2:
            return []
        found = [
            ("Loss", self._learning("loss", 1)),
            ("Accuracy, %", self._learning("accuracy", 100)),
            ("Learning rate", self._chart("learning rate", self._smooth("learning_rate"))),
            ("Gradient norm", self._chart("gradient norm", self._noisy("gradient_norm"), is_log=True)),
            ("Images a second", self._chart("images a second", self._noisy_curves(self._speeds), from_zero=True)),
            ("Memory at its most, MiB", self._chart("memory", self._smooth("memory_mib"), from_zero=True)),
            ("Averaging: weight of the past", self._chart("average decay", self._smooth("average_decay"))),
            ("Averaged weights: distance, %", self._distance()),
        ]
        return [(title, chart) for title, chart in found if chart]

    @property
    def notes(self) -> list[str]:
        """What the marks on the charts mean, where there are any, and what could not be read."""
        bad = max((int(record.get("bad_steps") or 0) for record in self.records), default=0)
        judged, returns = self._events("judged"), self._events("rollback")
        unread = round(sum(_number(step, "unreadable", 0.0) for step in self.steps) * self.batch_size)
        notes = []
        if judged:
            notes.append(f"Orange, dotted: {self.split} images, judged by the averaged weights without smoothing.")
        if bad:
            notes.append(f"{counted(bad, 'step')} with a loss or gradient that was no number; nothing was changed.")
        if self._bad:
            notes.append("Short marks at the foot: such steps.")
        if returns:
            notes.append(
                f"Purple, dashed: {counted(len(returns), 'return')} to a checkpoint, with half the learning rate."
            )
        if unread:
            notes.append(f"{counted(unread, 'time')} a picture could not be read; skipped.txt names them.")
        return notes

    def _learning(self, name: str, scale: float) -> str:
        curves = self._noisy(name, scale)
        judged = self._events("judged")
        if curves and judged:
            values = [scale * _number(record, name) for record in judged]
            curves.append(Curve("judged", [self._epoch(record) for record in judged], values, has_dots=True))
        return self._chart(f"{name} by epoch", curves)

    def _distance(self) -> str:
        """Measured once in several steps."""
        steps = [step for step in self.steps if step.get("average_distance") is not None]
        values = [100 * _number(step, "average_distance") for step in steps]
        return self._chart("distance of the averaged weights", self._curve("mean", values, steps), from_zero=True)

    def _chart(self, label: str, curves: list[Curve], *, is_log: bool = False, from_zero: bool = False) -> str:
        """The chart; nothing where it would be empty or all zero."""
        if not any(value for curve in curves for value in curve.y if isfinite(value)):
            return ""
        marks = {"rollback": [self._epoch(record) for record in self._events("rollback")], "short-bad": self._bad}
        return line_chart(curves, x_label="epoch", label=label, marks=marks, is_log=is_log, from_zero=from_zero)

    def _noisy(self, name: str, scale: float = 1.0) -> list[Curve]:
        return self._noisy_curves([scale * _number(step, name) for step in self.steps])

    def _noisy_curves(self, values: list[float]) -> list[Curve]:
        """Single steps, and their running mean."""
        return self._curve("each", values) + self._curve("mean", running_mean(values))

    def _smooth(self, name: str) -> list[Curve]:
        return self._curve("mean", [_number(step, name) for step in self.steps])

    def _curve(self, name: str, values: list[float], steps: list[Record] | None = None) -> list[Curve]:
        every = -(-len(values) // MAX_POINTS) or 1
        epochs = [self._epoch(step) for step in (self.steps if steps is None else steps)]
        return [Curve(name, epochs[::every], values[::every])]

    @property
    def _speeds(self) -> list[float]:
        """Images a second of each step, judging aside."""
        seconds = [_number(step, "seconds") - _number(step, "judging_seconds", 0.0) for step in self.steps]
        return [self.batch_size / second if second > 0 else nan for second in seconds]

    @property
    def _bad(self) -> list[float]:
        """Where steps were bad, in epochs."""
        names = ("loss", "gradient_norm")
        bad = [step for step in self.steps if any(name in step and step[name] is None for name in names)]
        return [self._epoch(step) for step in bad]

    def _events(self, name: str) -> list[Record]:
        return [record for record in self.records if record["event"] == name]

    def _epoch(self, record: Record) -> float:
        return int(record["step"] or 0) * self.batch_size / self.num_samples


def _number(record: Record, name: str, otherwise: float = nan) -> float:
    value = record.get(name)
    return otherwise if value is None else float(value)
