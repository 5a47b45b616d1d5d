"""The verbs put together, and the one place where a user's mistake becomes a line and an exit code."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from lambdanets import __version__
from lambdanets.cli.explain import explain
from lambdanets.cli.models import models
from lambdanets.cli.report import EXIT_MISTAKE, report_mistake
from lambdanets.cli.train import train

app = App(
    name="lambdanets",
    version=__version__,
    help="Lambda networks: train them, count them, see how they compute.",
    help_format="plaintext",  # markdown would take a fifth of the time that --help takes
    result_action="return_value",
)
for verb in (train, models, explain):
    app.command(verb)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own). The exit code: 0 done, 2 a mistake, 130 interrupted."""
    # Waiting threads that spin make a step 14–34 times slower on a shared CPU; must be set before torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = app(sys.argv[1:] if arguments is None else list(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        report_mistake(error)
        return EXIT_MISTAKE
    except KeyboardInterrupt:
        return 130
    return code if isinstance(code, int) else 0
