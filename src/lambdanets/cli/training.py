"""The steps of a run, its judgement and its report, and what is said when one of them cannot be done."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lambdanets.cli.mistakes import EXIT_FAILED, is_full_or_broken, report_mistake
from lambdanets.cli.progress import TrainingProgress
from lambdanets.cli.summary import describe_interruption, describe_next, describe_result, resume_command
from lambdanets.training.classification import ClassificationTask
from lambdanets.training.folder import RunFolder
from lambdanets.training.interrupt import StopRequest
from lambdanets.training.loop import DivergedError
from lambdanets.training.run import Run, finish_run, train_run


def train_to_the_end(run: Run, folder: RunFolder) -> int:
    """Take the steps that are left, judge, report; the exit code of it. Says how it went."""
    with _failures_told(run, folder):
        with StopRequest() as stop, TrainingProgress(run) as progress:
            finished = train_run(run, folder, watch=progress.show, stop=stop)
        if not finished:
            print(describe_interruption(run, folder))
            return 128 + (stop.signal_number or 0)
        print(describe_result(finish_run(run, folder), folder), flush=True)
        from lambdanets.report.write import write_report  # a second to load, which would delay the first step

        if isinstance(run.task, ClassificationTask):
            write_report(run.task, run.state.average.model, folder)
    print(describe_next(folder))
    return 0


@contextmanager
def _failures_told(run: Run, folder: RunFolder) -> Iterator[None]:
    """Within this block what the run cannot help is told with the way on, and the process ends with code 1."""
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads on: no failure
    except DivergedError as error:
        report_mistake(error)
        raise SystemExit(EXIT_FAILED) from None
    except OSError as error:
        report_mistake(error)
        mend = "free some space there" if is_full_or_broken(error) else "mend that"
        command = resume_command(run.config.recipe, folder)
        print(f"What was saved before is intact: {mend}, then go on with\n{command}", file=sys.stderr)
        raise SystemExit(EXIT_FAILED) from None
