"""Ctrl-C and SIGTERM: ask the loop to save and stop at the next step, never in the middle of one."""

import signal
from types import FrameType
from typing import Self


class StopRequest:
    """Within its `with` block a first signal only sets `signal_number`; a second one ends the process at once.

    Works in the main thread only, as Python's signal handlers do.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._before: dict[int, signal.Handlers | int | None] = {}

    def __call__(self) -> bool:
        """Whether someone asked to stop."""
        return self.signal_number is not None

    def __enter__(self) -> Self:
        """Take over SIGINT and SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        """Give both signals back."""
        self._give_back()

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.signal_number = number
        for taken in self._before:
            signal.signal(taken, signal.SIG_DFL)  # a second signal is not negotiated with

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
