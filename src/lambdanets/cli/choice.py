"""Which run a command means: a new one, or the one that a folder holds."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from lambdanets.recipes.registry import find_recipe
from lambdanets.training.config import Config
from lambdanets.training.distributed import Ranks
from lambdanets.training.folder import RunFolder, read_config
from lambdanets.training.override import from_json, with_assignments
from lambdanets.training.run import Run, begin_run, prepare_run, resume_run
from lambdanets.whole_file import append_line


def choose_run(recipe: str, path: Path, assignments: list[str], resume: bool) -> tuple[Config, RunFolder]:
    """The config to train, the stored one where a run is continued, and the folder it belongs to."""
    folder = RunFolder(path)
    if not (resume and folder.config.exists()):
        config = find_recipe(recipe, assignments)
        if config.recipe != recipe:
            raise ValueError(
                f"recipe: got '{config.recipe}' by --set: name it instead, lambdanets train {config.recipe}."
            )
        return config, folder
    stored = read_config(folder)
    if stored.get("recipe") != recipe:
        raise ValueError(f"{path} holds a run of '{stored.get('recipe')}', not of '{recipe}': name that one to resume.")
    with blamed_on(folder):
        config = from_json(find_recipe(recipe), stored)
    if with_assignments(config, assignments) != config:
        raise ValueError("--set cannot change a run that is continued with --resume: start another run instead.")
    return config, folder


def prepare_chosen(config: Config, folder: RunFolder, resume: bool, ranks: Ranks) -> Run:
    """The run of a config; where that is the folder's own, the folder's file is named in what is wrong with it."""
    with blamed_on(folder) if resume and folder.config.exists() else nullcontext():
        return prepare_run(config, ranks)


@contextmanager
def blamed_on(folder: RunFolder) -> Iterator[None]:
    """Within this block a ValueError is about the folder's config.json, and says so."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"{folder.config}: {error} Put it back as it was, or start a run in another folder."
        ) from error


def record_command(folder: RunFolder, recipe: str, assignments: list[str], resume: bool) -> None:
    """Add a line to the folder's command.txt that repeats this call in a shell."""
    settings = [word for assignment in assignments for word in ("--set", assignment)]
    words = ["lambdanets", "train", recipe, "--out", str(folder.path), *settings, *["--resume"] * resume]
    append_line(folder.command, shlex.join(words))


def open_folder(run: Run, folder: RunFolder, resume: bool) -> None:
    """Make the folder of a new run, or bring the run to where the folder says it stopped; says which."""
    if run.ranks.from_first(lambda: resume and folder.config.exists()):
        print("\n".join(resume_run(run, folder)))
        return
    begin_run(run, folder.path)
    print(f"{folder.path} holds no run: starting a new one." if resume else f"Training into {folder.path}")
