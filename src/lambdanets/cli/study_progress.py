"""What `lambdanets study` shows while it works: a live bar with the time left; plain lines where is no terminal."""

import time
from collections.abc import Sequence
from contextlib import suppress

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from lambdanets.cli.broken_pipe import fall_silent
from lambdanets.report.page import shorten
from lambdanets.study.estimate import Estimate
from lambdanets.study.part import Part, Piece
from lambdanets.study.running import Plan, hands
from lambdanets.study.writing import duration

PLAIN_LINES = 20
"""About how many lines a whole study prints where there is no terminal."""
SILENCE = 60
"""Seconds after which there is a line in any case."""
NARROW = 90
"""Columns of a terminal below which the bar is short."""
LONG_BAR, SHORT_BAR = 24, 8
_AROUND, _LEAST = 30, 16
"""Columns that the numbers beside the bar take; columns below which it is not said what is being done."""


class StudyProgress:
    """Told what is being done; the bar stands between `start` and `pause`."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._estimate = Estimate({plan.part.name: plan.missing for plan in plans}, hands=hands())
        self._doing: dict[tuple[str, str], None] = {}
        self._bar: Progress | None = None
        self._spoke = time.monotonic()

    def start(self) -> None:
        """Draw the bar, where there is a terminal and something to do."""
        bar = Progress()
        if not bar.console.is_terminal or self._estimate.done == self._estimate.total:
            return
        length = LONG_BAR if bar.console.width >= NARROW else SHORT_BAR
        left = _TimeLeft(self._estimate)
        bar.columns = (
            MofNCompleteColumn(),
            BarColumn(bar_width=length),
            left,
            TextColumn("{task.description}", markup=False),
        )
        bar.add_task("", total=self._estimate.total, completed=self._estimate.done)
        bar.start()
        self._bar = bar

    def pause(self) -> None:
        """Give the terminal back."""
        if self._bar is not None:
            with suppress(OSError):  # a terminal that was closed
                self._bar.stop()
            self._bar = None

    def begin(self, part: Part, piece: Piece) -> None:
        """A piece is being done."""
        self._estimate.begin(part.name, piece)
        self._doing[part.name, piece.key] = None
        self._show()

    def end(self, part: Part, piece: Piece) -> None:
        """It is done."""
        self._estimate.end(part.name, piece)
        self._doing.pop((part.name, piece.key), None)
        self._show()
        if self._bar is None:
            self._say(part, piece)

    def _show(self) -> None:
        if self._bar is not None:
            room = self._bar.console.width - _AROUND - (LONG_BAR if self._bar.console.width >= NARROW else SHORT_BAR)
            now = ", ".join(f"{part}: {key}" for part, key in list(self._doing)) if room >= _LEAST else ""
            text = shorten(now, room)  # one line, or the bar would jump
            self._bar.update(self._bar.task_ids[0], completed=self._estimate.done, description=text)

    def _say(self, part: Part, piece: Piece) -> None:
        done, total, now = self._estimate.done, self._estimate.total, time.monotonic()
        if done % max(1, total // PLAIN_LINES) and done < total and now - self._spoke < SILENCE:
            return
        self._spoke = now
        left = f"about {duration(self._estimate.seconds_left())} left"
        try:
            print(f"{done}/{total}  {left}  {part.name}: {piece.key}", flush=True)
        except BrokenPipeError:
            fall_silent()  # the study goes on: what counts is in its folder


class _TimeLeft(ProgressColumn):
    """The estimate, asked anew whenever the bar is drawn."""

    def __init__(self, estimate: Estimate) -> None:
        super().__init__()
        self._estimate = estimate

    def render(self, task: Task) -> Text:
        """In words."""
        return Text(f"about {duration(self._estimate.seconds_left())} left", style="cyan")
