"""`lambdanets selftest`: what a training on this machine survives, tried by making it happen."""

from typing import Annotated

from cyclopts import Parameter

from lambdanets.cli.mistakes import EXIT_FAILED

WIDTH = 44
"""Columns of what is injected."""


def selftest(*, quick: Annotated[bool, Parameter(negative=())] = False) -> int:
    """Let small trainings be killed, starved and fed with garbage on this machine; say what came of each.

    Example: lambdanets selftest --quick

    Ends with 0 if each came out as required, and 1 otherwise. Leaves nothing behind.
    Needs a system that can fork, such as Linux. Its output belongs in a bug report.

    Args:
        quick: One of each kind, in less than a minute on two idle cores.
    """
    import os
    import tempfile
    import time
    from pathlib import Path

    from lambdanets.cli.selftest_faults import injections
    from lambdanets.cli.selftest_runs import Bench, NotSurvivedError

    if not hasattr(os, "fork"):
        raise SystemExit("lambdanets: selftest needs a system that can fork, such as Linux or macOS.")
    chosen = [injection for injection in injections() if not (quick and injection.only_long)]
    print(f"{'':<3} {'injected':<{WIDTH}} {'seconds':>7}  what happened", flush=True)
    began, failed = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="lambdanets-selftest-") as folder:
        bench = Bench(folder=Path(folder))
        bench.begin()
        for number, injection in enumerate(chosen):
            place = Path(folder) / str(number)
            place.mkdir()
            since = time.monotonic()
            try:
                verdict, happened = "ok", injection.try_it(bench, place / "run")
            except NotSurvivedError as error:
                verdict, happened, failed = "NO", str(error), failed + 1
            print(f"{verdict:<3} {injection.name:<{WIDTH}} {time.monotonic() - since:>7.1f}  {happened}", flush=True)
    print(f"\n{len(chosen) - failed} of {len(chosen)} came out as required, in {time.monotonic() - began:.0f} s.")
    return EXIT_FAILED if failed else 0
