"""The verbs put together, and the one place where a user's mistake becomes a line and an exit code."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from lambdanets import __version__
from lambdanets.cli.doctor import doctor
from lambdanets.cli.evaluate import evaluate
from lambdanets.cli.explain import explain
from lambdanets.cli.models import models
from lambdanets.cli.predict import predict
from lambdanets.cli.report import EXIT_FAILED, EXIT_MISTAKE, fall_silent, report_mistake
from lambdanets.cli.train import train
from lambdanets.cli.tune import tune

app = App(
    name="lambdanets",
    version=__version__,
    help="Lambda networks: train them, count them, see how they compute.",
    help_format="plaintext",  # markdown would take a fifth of the time that --help takes
    result_action="return_value",
)
for verb in (train, evaluate, predict, models, explain, tune, doctor):
    app.command(verb)
app.register_install_completion_command(help="Let the shell complete verbs and options; begins with the next shell.")

EXIT_PIPE = 141
"""Nobody reads the output any more: what a shell reports of a program that SIGPIPE ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own). The exit code: 0 done, 1 failed, 2 a mistake."""
    # Waiting threads that spin make a step 14–34 times slower on a shared CPU; must be set before torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _replace_closed_streams()
    try:
        code = app(sys.argv[1:] if arguments is None else list(arguments), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        report_mistake(error)
        return EXIT_MISTAKE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        fall_silent()
        return EXIT_PIPE
    except OSError as error:
        report_mistake(error)
        return EXIT_FAILED
    return code if isinstance(code, int) else 0


def _replace_closed_streams() -> None:
    """What is said to a stream that was closed before the start goes nowhere, and not into a file opened later."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open for as long as we run
