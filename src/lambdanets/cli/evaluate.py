"""`lambdanets evaluate`: judge a finished run again."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lambdanets.cli.mistakes import EXIT_FAILED, mistakes_reported, report_mistake
from lambdanets.printable import printable


def evaluate(
    run: Path,
    /,
    *,
    data: Path | None = None,
    resolutions: str | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
    report: Annotated[bool, Parameter(negative=())] = False,
    device: str | None = None,
) -> None:
    """Judge a finished run on the images that its training kept for that, or on others.

    Example: lambdanets evaluate runs/first

    Of a classifier it tells top-1 and top-5 accuracy, how far confidence and accuracy are apart (calibration error, 15
    bins), and each class; of a detector COCO's average precision of boxes and masks. An image that cannot be read
    counts as wrong and is named.

    Args:
        run: Folder of a finished run.
        data: Other labelled pictures, in any form that train takes: their split val, or test, or all without splits.
        resolutions: Also judge at these image sizes, such as 160,192,224.
        json_: Print one line of JSON in place of the table.
        report: Write the run's pictures and its report.html anew.
        device: Where the network runs: cpu or cuda; by default where it was trained.
    """
    from lambdanets.cli.scores import describe_scores, describe_sizes, scores_by_size, scores_of
    from lambdanets.finished import as_classifier, is_detector, open_run
    from lambdanets.report.judgement import judge

    with mistakes_reported(), _lost_workers_told(run):
        if report and data is not None:
            raise ValueError("--report: a run's report is about its own data: leave --data or --report out.")
        sides = _sides(resolutions)
        stored = open_run(run, device)
        if is_detector(stored):
            from lambdanets.cli.precision_table import evaluate_detector

            if sides:
                raise ValueError("--resolutions: a detector takes pictures of every size: leave it out.")
            evaluate_detector(stored, data, as_json=json_, report=report)
            return
        finished = as_classifier(stored)
        task = finished.task if data is None else finished.task_on(data)
        tasks = {side: finished.at_resolution(task, side) for side in sides}
        if report:
            from lambdanets.report.write import write_report  # loads what draws, which takes a second

            judgement = write_report(task, finished.model, finished.folder).judgement
        else:
            judgement = judge(task, finished.model)
        by_size = {side: judge(resized, finished.model) for side, resized in tasks.items()}
    scores = scores_of(judgement, finished, task.split, own_data=data is None)
    if json_:
        print(json.dumps(scores | ({"resolutions": scores_by_size(by_size)} if by_size else {})))
        return
    print(describe_scores(scores, judgement, finished, task.split))
    if by_size:
        print(describe_sizes(by_size))


@contextmanager
def _lost_workers_told(run: Path) -> Iterator[None]:
    """Within this block workers that are lost again and again end the process with code 1, after a line about it."""
    from lambdanets.data.loader import LoaderError  # loads torch

    try:
        yield
    except LoaderError as error:
        report_mistake(error)
        print(f"Here the loader is as {printable(run / 'config.json')} says.", file=sys.stderr)
        raise SystemExit(EXIT_FAILED) from None


def _sides(text: str | None) -> list[int]:
    try:
        return [] if text is None else [int(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(f"--resolutions: got '{text}', wanted image sizes, such as 160,192,224.") from None
