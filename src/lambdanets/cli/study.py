"""`lambdanets study`: the paper's tables and figures, counted and measured on this machine."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lambdanets.cli.mistakes import mistakes_reported
from lambdanets.cli.stopped import NOTHING_BEGUN, stopping_told

Word = Literal["all", "parameters", "memory", "speed", "scope", "pareto", "interactions", "long-range"]


def study(
    part: Word,
    *,
    quick: Annotated[bool, Parameter(negative=())] = False,
    full: Annotated[bool, Parameter(negative=())] = False,
    out: Path = Path("study"),
    device: Literal["cpu", "cuda"] = "cpu",
    run: Path | None = None,
    image: Path | None = None,
) -> None:
    """Rebuild the paper's tables and figures that can be had without ImageNet: what is printed, counted, measured here.

    Example: lambdanets study all --quick

    Prints tables; writes them as CSV, figures as PNG, a page a part, and with all study.html, a page of everything.

    A study that was stopped goes on where it was when the same command is given again.

    Args:
        part: parameters (counts), memory (attention maps against tables), speed (every layer in the same network),
            scope (cost against how far a layer sees), pareto (speed against accuracy), interactions (what a layer
            looks at), long-range (a task that needs distant pixels), or all.
        quick: Fewer and smaller pieces: all parts together take a quarter of an hour.
        full: The ablations of long-range too, which want a GPU or a night.
        out: Folder of answers, tables, figures and pages.
        device: Where is measured and trained.
        run: A finished run of yours for interactions to look into. By default a short training of the digits.
        image: A picture for it to look at. By default the first that the run was judged on.
    """
    with stopping_told(lambda: NOTHING_BEGUN):  # while torch loads
        from lambdanets.cli.study_choice import chosen_parts, make_folder, study_options
        from lambdanets.cli.study_progress import StudyProgress
        from lambdanets.cli.study_tables import describe_again, print_tables
        from lambdanets.study.running import plan
        from lambdanets.study.session import finish

        with mistakes_reported():
            options = study_options(out, quick=quick, full=full, device=device, run=run, image=image)
            plans = [plan(one, options) for one in chosen_parts(part)]
            make_folder(out)
    for line in describe_again(plans):
        print(line)
    progress, pages = StudyProgress(plans), []
    with stopping_told(lambda: f"Stopped. What is found out so far is kept in {out}: the same command goes on there."):
        progress.start()
        try:
            with mistakes_reported():
                for finished, page in finish(plans, options, progress, with_study=part == "all"):
                    progress.pause()
                    print_tables(finished.shown)
                    pages.append(page)
                    progress.start()
        finally:
            progress.pause()
    print(f"wrote {pages[-1]}")
