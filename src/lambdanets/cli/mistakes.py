"""How the command line speaks of a mistake: one line on standard error, exit code 2, no traceback."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lambdanets.printable import printable

EXIT_FAILED = 1
"""The command was right, but the work could not be done."""
EXIT_MISTAKE = 2
"""The command was wrong; nothing was done."""
_RED, _PLAIN = "\033[31m", "\033[0m"


def report_mistake(error: Exception) -> None:
    """Print the error's sentences as one line, names in it as they can be shown, red on a terminal."""
    text = "lambdanets: " + printable(" ".join(str(error).split()))
    print(f"{_RED}{text}{_PLAIN}" if sys.stderr.isatty() else text, file=sys.stderr)


@contextmanager
def mistakes_reported() -> Iterator[None]:
    """Within this block a ValueError or OSError is the user's to mend: reported, and the process ends with code 2.

    A disk that is full or broken is not: then the code is 1.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads on: no mistake
    except (ValueError, OSError) as error:
        report_mistake(error)
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
        raise SystemExit(EXIT_FAILED if full else EXIT_MISTAKE) from None
