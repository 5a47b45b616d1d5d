"""`lambdanets train`: run a recipe into a folder, or go on with one."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lambdanets.cli.mistakes import EXIT_FAILED, mistakes_reported, report_mistake


def train(
    recipe: str = "digits",
    *,
    out: Path | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative=())] = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Train a network; config, metrics, weights, result, pictures and a report end up in a folder.

    Example: lambdanets train digits --out runs/first --set seed=1 --set epochs=10

    Args:
        recipe: What to train: digits.
        out: Folder of the run. By default a fresh one in runs/, named by date and recipe.
        set_: Change a field of the recipe's config, as field=value; any number of times.
        resume: Continue the run in the folder, exactly where it stopped.
    """
    from lambdanets.cli.choice import choose_run, open_folder, prepare_chosen, record_command
    from lambdanets.cli.progress import TrainingProgress
    from lambdanets.cli.summary import describe_interruption, describe_next, describe_result, fresh_folder
    from lambdanets.training.classification import ClassificationTask
    from lambdanets.training.interrupt import StopRequest
    from lambdanets.training.loop import DivergedError
    from lambdanets.training.run import finish_run, read_result, train_run

    with mistakes_reported():
        config, folder = choose_run(recipe, out or fresh_folder(recipe), set_ or [], resume)
        if resume and (result := read_result(folder)):
            print(f"This run is finished.\n{describe_result(result, folder)}\n{describe_next(folder)}")
            return 0
        run = prepare_chosen(config, folder, resume)
        open_folder(run, folder, resume)
        record_command(folder, recipe, set_ or [], resume)
    try:
        with StopRequest() as stop, TrainingProgress(run) as progress:
            finished = train_run(run, folder, watch=progress.show, stop=stop)
    except (DivergedError, OSError) as error:
        report_mistake(error)
        return EXIT_FAILED
    if not finished:
        print(describe_interruption(run, folder))
        return 128 + (stop.signal_number or 0)
    print(describe_result(finish_run(run, folder), folder), flush=True)
    from lambdanets.report.write import write_report  # a second to load, which would delay the first step

    if isinstance(run.task, ClassificationTask):
        write_report(run.task, run.state.average.model, folder)
    print(describe_next(folder))
    return 0
