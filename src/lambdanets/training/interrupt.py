"""Signals: ask the loop to save and stop at the next step, never in the middle of one."""

import os
import signal
import time
from types import FrameType
from typing import Self

REQUEUE = 85
"""Exit code of a run that was saved and wants to be started again."""
ECHO_SECONDS = 2.0
"""A launcher tells its processes what they may have heard from the terminal already: within this it is one wish."""
_SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")


def stopping_signals() -> list[int]:
    """Those that ask to stop: Ctrl-C, SIGTERM, SIGUSR1 (a queue wants the machine), SIGHUP (the terminal is closed).

    Not SIGHUP where the process was told to outlive its terminal, as `nohup` does.
    """
    known = [int(getattr(signal, name)) for name in _SIGNALS if hasattr(signal, name)]
    return [number for number in known if not (_is_hangup(number) and signal.getsignal(number) == signal.SIG_IGN)]


def exit_code_of(number: int) -> int:
    """What a process ends with that was stopped by a signal: 128 more than its number, or 85 to be started again."""
    return REQUEUE if number == getattr(signal, "SIGUSR1", None) else 128 + number


def let_them_end() -> None:
    """From now on each of the signals ends the process at once."""
    for number in stopping_signals():
        signal.signal(number, signal.SIG_DFL)


class StopRequest:
    """Within its `with` block a first signal only sets `signal_number`; a second one ends the process at once.

    Works in the main thread only, as Python's signal handlers do.
    """

    def __init__(self, *, echoes: bool = False) -> None:
        """`echoes`: a launcher passes signals on, so that one wish may come as two signals."""
        self.signal_number: int | None = None
        self._patience = ECHO_SECONDS if echoes else 0.0
        self._asked = 0.0
        self._before: dict[int, signal.Handlers | int | None] = {}

    def __call__(self) -> bool:
        """Whether someone asked to stop."""
        return self.signal_number is not None

    def __enter__(self) -> Self:
        """Take the signals over."""
        for number in stopping_signals():
            self._before[number] = signal.signal(number, self._handle)  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.signal_number is None:
            self.signal_number, self._asked = number, time.monotonic()
            if not self._patience:
                let_them_end()  # a second wish is not negotiated with, and not even waited for
        elif time.monotonic() - self._asked >= self._patience:
            let_them_end()
            os.kill(os.getpid(), number)


def _is_hangup(number: int) -> bool:
    return number == getattr(signal, "SIGHUP", None)
