"""Where a command line comes in, and the one place where a user's mistake becomes a line and an exit code."""

import os
import sys
import warnings
from collections.abc import Sequence

from lambdanets.cli.broken_pipe import EXIT_PIPE, fall_silent
from lambdanets.cli.empty_word import check_words
from lambdanets.cli.mistakes import EXIT_FAILED, EXIT_MISTAKE, report_mistake
from lambdanets.cli.stopped import NOTHING_BEGUN, stopping_told
from lambdanets.cli.stored_help import stored_help


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own). The exit code: 0 done, 1 failed, 2 a mistake."""
    # Waiting threads that spin make a step 14–34 times slower on a shared CPU; must be set before torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _prepare_streams()
    warnings.formatwarning = lambda message, *_, **__: f"lambdanets: {message}\n"  # not where in the code it was said
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = _run(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("lambdanets: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        fall_silent()
        return EXIT_PIPE
    except OSError as error:
        report_mistake(error)
        return EXIT_FAILED
    return code


def _run(words: list[str]) -> int:
    try:
        check_words(words)
    except ValueError as error:
        report_mistake(error)
        return EXIT_MISTAKE
    shown = stored_help(words)
    if shown is not None:
        print(shown, end="")
        return 0
    with stopping_told(lambda: NOTHING_BEGUN):
        from cyclopts import CycloptsError

        from lambdanets.cli.app import app
        from lambdanets.cli.console import OutputConsole
        from lambdanets.cli.odd_words import complaint

    try:
        code = app(words, exit_on_error=False, print_error=False, console=OutputConsole())
    except CycloptsError as error:
        report_mistake(complaint(error))
        return EXIT_MISTAKE
    return code if isinstance(code, int) else 0


def _prepare_streams() -> None:
    """Letters that a terminal does not know become '?'; a stream that was closed before the start becomes nowhere.

    A file that is opened later would otherwise take the closed stream's place, and hold what we say.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open for as long as we run
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
