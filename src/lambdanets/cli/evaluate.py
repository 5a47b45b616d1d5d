"""`lambdanets evaluate`: judge a finished run again."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lambdanets.cli.mistakes import mistakes_reported


def evaluate(
    run: Path,
    /,
    *,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
    report: Annotated[bool, Parameter(negative=())] = False,
    device: str | None = None,
) -> None:
    """Judge a finished run on the images that its training kept for that.

    Example: lambdanets evaluate runs/first

    Args:
        run: Folder of a finished run.
        json_: Print one line of JSON in place of the table.
        report: Write the run's pictures and its report.html anew.
        device: Where the network runs: cpu or cuda; by default where it was trained.
    """
    from lambdanets.cli.scores import describe_scores, scores_of
    from lambdanets.finished import load_run
    from lambdanets.report.judgement import judge

    with mistakes_reported():
        finished = load_run(run, device)
        if report:
            from lambdanets.report.write import write_report  # loads what draws, which takes a second

            judgement = write_report(finished.task, finished.model, finished.folder).judgement
        else:
            judgement = judge(finished.task, finished.model)
    scores = scores_of(judgement, finished)
    print(json.dumps(scores) if json_ else describe_scores(scores, judgement, finished))
