"""A signal outside the steps of a training: always a line that says what is saved and how to go on."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from lambdanets.training.interrupt import exit_code_of, let_them_end, stopping_signals

NOTHING_BEGUN = "Stopped before anything was begun."


class Stopped(KeyboardInterrupt):
    """A signal that ends the command; the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def stopping_told(words: Callable[[], str]) -> Iterator[None]:
    """Within this block a signal ends the process, with 128 + its number (85: SIGUSR1), after `words()` are printed.

    Works in the main thread only, as Python's signal handlers do.
    """
    before = {number: signal.signal(number, _stop) for number in stopping_signals()}
    try:
        yield
    except KeyboardInterrupt as stopped:
        with suppress(OSError):  # the terminal may be what has gone
            print(words(), flush=True)
        number = stopped.number if isinstance(stopped, Stopped) else signal.SIGINT
        raise SystemExit(exit_code_of(number)) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _: FrameType | None) -> None:
    let_them_end()  # a second signal is not negotiated with
    raise Stopped(number)
