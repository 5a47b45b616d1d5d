"""The steps of a run, its judgement and its report, and what is said when one of them cannot be done."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import replace

from lambdanets.cli.broken_pipe import fall_silent
from lambdanets.cli.mistakes import EXIT_FAILED, is_full_or_broken, report_mistake
from lambdanets.cli.progress import TrainingProgress
from lambdanets.cli.summary import describe_interruption, describe_next, describe_result, resume_command
from lambdanets.data.finding import DataError
from lambdanets.data.loader import LoaderError
from lambdanets.detection.precision import Precision
from lambdanets.detection.task import DetectionTask
from lambdanets.training.classification import ClassificationTask
from lambdanets.training.distributed import ALONE, Ranks
from lambdanets.training.folder import RunFolder
from lambdanets.training.guard import DivergedError, UnreadableDataError
from lambdanets.training.host import Watcher
from lambdanets.training.interrupt import REQUEUE as EXIT_AGAIN
from lambdanets.training.interrupt import StopRequest, exit_code_of
from lambdanets.training.memory import OutOfMemoryError
from lambdanets.training.run import Run, finish_run, train_run
from lambdanets.training.saver import SaveFailedError

EXIT_MEMORY = 71
"""Not even one sample at a time fits into memory."""
EXIT_DISK = 74
"""Several checkpoints in a row could not be written."""


def train_to_the_end(run: Run, folder: RunFolder, max_seconds: float | None = None) -> int:
    """Take the steps that are left, judge, report; the exit code of it. Says how it went."""
    with _failures_told(run, folder):
        with StopRequest(echoes=run.ranks.count > 1) as stop, TrainingProgress(run) as progress:
            watcher = Watcher(show=progress.show, tell=progress.tell, stop=stop, max_seconds=max_seconds)
            finished = train_run(run, folder, watcher)
        if not finished:
            try:
                print(describe_interruption(run, folder), flush=True)
            except OSError:  # the terminal, or who read the output, is what has gone
                fall_silent()
            return EXIT_AGAIN if stop.signal_number is None else exit_code_of(stop.signal_number)
        print(describe_result(finish_run(run, folder, print), folder), flush=True)
        if run.ranks.is_first:
            _report(run, folder)
    print(describe_next(folder))
    return 0


def _report(run: Run, folder: RunFolder) -> None:
    """The pages of the finished run. What writes them takes a second to load, which would delay the first step."""
    task, model, judgement = run.task, run.state.average.model, run.state.judgement
    if isinstance(task, ClassificationTask):
        from lambdanets.report.write import write_report

        write_report(replace(task, ranks=ALONE), model, folder)
    elif isinstance(task, DetectionTask) and isinstance(judgement, Precision):
        from lambdanets.cli.precision_table import print_precision
        from lambdanets.report.write_detections import write_detections

        print_precision(judgement, task.split)
        write_detections(task, model, judgement, folder)


@contextmanager
def only_first_speaks(ranks: Ranks) -> Iterator[None]:
    """Within this block nothing is printed but by the first of several processes; errors are."""
    with nullcontext() if ranks.is_first else redirect_stdout(open(os.devnull, "w", encoding="utf-8")):
        yield


@contextmanager
def _failures_told(run: Run, folder: RunFolder) -> Iterator[None]:
    """Within this block what the run cannot help is told with the way on, and the process ends."""
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads on: no failure
    except (DataError, DivergedError, LoaderError, UnreadableDataError) as error:
        report_mistake(error)
        raise SystemExit(EXIT_FAILED) from None
    except OutOfMemoryError as error:
        report_mistake(error)
        raise SystemExit(EXIT_MEMORY) from None
    except OSError as error:
        report_mistake(error)
        mend = "free some space there" if is_full_or_broken(error) else "mend that"
        command = resume_command(run.config.recipe, folder)
        print(f"What was saved before is intact: {mend}, then go on with\n{command}", file=sys.stderr)
        raise SystemExit(EXIT_DISK if isinstance(error, SaveFailedError) else EXIT_FAILED) from None
