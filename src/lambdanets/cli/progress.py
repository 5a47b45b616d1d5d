"""The live bar of a training run; plain lines where the output is not a terminal."""

from contextlib import suppress
from datetime import timedelta
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from lambdanets.cli.broken_pipe import fall_silent
from lambdanets.training.journal import Record
from lambdanets.training.run import Run

PLAIN_LINES = 20
"""About how many lines a whole run prints where there is no terminal."""
MEMORY = 0.9
"""Weight of the past in the shown loss, accuracy and speed; single steps jump too much to be read."""


WIDE, NARROW = 110, 78
"""Columns of a terminal below which the bar is short, and below which of the numbers only the loss is left."""


class TrainingProgress:
    """Shows loss, accuracy, images per second and the time left; use as a `with` block around the training."""

    def __init__(self, run: Run) -> None:
        self._num_steps = run.num_steps
        self._batch_size = run.config.batch_size
        self._smooth: dict[str, float] = {}
        self._bar = Progress()
        self._bar.columns = _columns(self._bar.console.width)
        self._task = self._bar.add_task("", total=run.num_steps, completed=run.state.step, numbers="")

    def __enter__(self) -> Self:
        """Draw the empty bar, on a terminal."""
        if self._bar.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is and give the terminal back, if that is still there."""
        with suppress(OSError):
            self._bar.stop()

    def show(self, record: Record) -> None:
        """One more step; other records are not shown."""
        if record["event"] != "step":
            return
        for name in ("loss", "accuracy", "seconds"):
            if name not in record:
                continue
            new = float(record[name] or 0)
            self._smooth[name] = MEMORY * self._smooth.get(name, new) + (1 - MEMORY) * new
        step = int(record["step"] or 0)
        if self._bar.console.is_terminal:
            self._bar.update(self._task, completed=step, numbers=self._numbers())
        elif step % max(1, self._num_steps // PLAIN_LINES) == 0 or step == self._num_steps:
            left = timedelta(seconds=round((self._num_steps - step) * self._smooth["seconds"]))
            self._print(f"step {step}/{self._num_steps}  {self._numbers()}  {left} left")

    def tell(self, sentence: str) -> None:
        """A line above the bar."""
        with suppress(OSError):  # a terminal that was closed
            self._bar.console.print(sentence) if self._bar.console.is_terminal else self._print(sentence)

    def _print(self, line: str) -> None:
        try:
            print(line, flush=True)
        except BrokenPipeError:
            fall_silent()  # the run goes on: what counts is in its folder

    def _numbers(self) -> str:
        if self._bar.console.is_terminal and self._bar.console.width < NARROW:
            return f"{self._smooth['loss']:.3f}"
        speed = self._batch_size / max(self._smooth["seconds"], 1e-9)
        accuracy = f"accuracy {self._smooth['accuracy']:.1%}  " if "accuracy" in self._smooth else ""
        return f"loss {self._smooth['loss']:.3f}  {accuracy}{speed:.{0 if speed >= 10 else 1}f} images/s"


def _columns(width: int) -> tuple[ProgressColumn, ...]:
    """What the live line shows: 40 columns of a terminal hold steps, a short bar, the loss and the time left."""
    bar = BarColumn(bar_width=40 if width >= WIDE else 8)
    return (MofNCompleteColumn(), bar, TextColumn("{task.fields[numbers]}"), TimeRemainingColumn())
