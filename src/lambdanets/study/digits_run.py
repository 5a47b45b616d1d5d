"""A run to look into for those who have none yet: the digits, trained shortly into the study's folder."""

from pathlib import Path

from lambdanets.recipes.registry import find_recipe
from lambdanets.training.folder import RunFolder
from lambdanets.training.run import begin_run, finish_run, prepare_run, read_result, resume_run, train_run


def digits_run(path: Path, *, epochs: float) -> Path:
    """The folder of a finished run of the recipe `digits`: it is begun, gone on with, or found.

    Sets the number of CPU threads to the recipe's.
    """
    folder = RunFolder(path)
    if folder.config.exists() and read_result(folder):
        return path
    run = prepare_run(find_recipe("digits", [f"epochs={epochs}"]))
    if folder.config.exists():
        resume_run(run, folder)
    else:
        begin_run(run, path)
    train_run(run, folder)
    finish_run(run, folder)
    return path
