"""Ctrl-C and SIGTERM outside the steps of a training: always a line that says what is saved and how to go on."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

NOTHING_BEGUN = "Stopped before anything was begun."


class Stopped(KeyboardInterrupt):
    """A signal that ends the command; the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def stopping_told(words: Callable[[], str]) -> Iterator[None]:
    """Within this block both signals end the process, with 130 or 143, after `words()` has been printed.

    Works in the main thread only, as Python's signal handlers do.
    """
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt as stopped:
        print(words(), flush=True)
        number = stopped.number if isinstance(stopped, Stopped) else signal.SIGINT
        raise SystemExit(128 + number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _: FrameType | None) -> None:
    for taken in (signal.SIGINT, signal.SIGTERM):
        signal.signal(taken, signal.SIG_DFL)  # a second signal is not negotiated with
    raise Stopped(number)
