"""How the command line speaks of a mistake: one short line on standard error, exit code 2, no traceback."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lambdanets.printable import printable
from lambdanets.whole_file import NotWrittenError

EXIT_FAILED = 1
"""The command was right, but the work could not be done."""
EXIT_MISTAKE = 2
"""The command was wrong; nothing was done."""
LONGEST = 240
"""Characters of a line about a mistake: three lines of a terminal."""
LONGEST_WORD = 60
"""Words beyond this, which are paths and values, lose their middle where the line would be too long."""
_RED, _PLAIN = "\033[31m", "\033[0m"


def report_mistake(error: Exception) -> None:
    """Print the error's sentences as one line of at most `LONGEST` characters, red on a terminal."""
    text = shortened("lambdanets: " + printable(" ".join(sentence(error).split())))
    print(f"{_RED}{text}{_PLAIN}" if sys.stderr.isatty() else text, file=sys.stderr)


def sentence(error: Exception) -> str:
    """What is wrong, in words: without the number that the system has for it."""
    if not isinstance(error, OSError) or isinstance(error, NotWrittenError) or error.strerror is None:
        return str(error)
    if error.filename is None:  # all files are named; what is left is where we print
        return f"standard output could not be written: {error.strerror}."
    return f"{error.filename}: {error.strerror}."


def shortened(text: str) -> str:
    """The text in at most `LONGEST` characters: long words without their middle first, then the text itself."""
    if len(text) > LONGEST:
        text = " ".join(_without_middle(word, LONGEST_WORD) for word in text.split(" "))
    return _without_middle(text, LONGEST)


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
        raise SystemExit(EXIT_FAILED if is_full_or_broken(error) else EXIT_MISTAKE) from None


def is_full_or_broken(error: Exception) -> bool:
    """Whether it tells of a disk that is full or broken, or was made of an error that did."""
    if isinstance(error.__cause__, OSError):
        error = error.__cause__
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def _without_middle(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    ahead = (longest - 1) // 2
    return f"{text[:ahead]}…{text[ahead + 1 - longest :]}"
