"""A finished run of a recipe in the study's folder: begun, gone on with, or found."""

from collections.abc import Sequence
from pathlib import Path

from lambdanets.recipes.registry import find_recipe
from lambdanets.training.folder import RunFolder
from lambdanets.training.run import begin_run, finish_run, prepare_run, read_result, resume_run, train_run


def trained(path: Path, recipe: str, assignments: Sequence[str] = ()) -> Path:
    """The folder of the finished run, which is `path`.

    Sets the number of CPU threads to the recipe's.
    """
    folder = RunFolder(path)
    if folder.config.exists() and read_result(folder):
        return path
    run = prepare_run(find_recipe(recipe, assignments))
    if folder.config.exists():
        resume_run(run, folder)
    else:
        begin_run(run, path)
    train_run(run, folder)
    finish_run(run, folder)
    return path
