"""`lambdanets train`: run a recipe into a folder, or go on with one."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lambdanets.cli.duration import seconds_of
from lambdanets.cli.mistakes import mistakes_reported
from lambdanets.cli.stopped import NOTHING_BEGUN, stopping_told


def train(
    recipe: str = "digits",
    *,
    out: Path | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative=())] = None,
    data: str | None = None,
    max_time: str | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Train a network; config, metrics, weights, result, pictures and a report end up in a folder.

    Example: lambdanets train digits --out runs/first --set seed=1 --set epochs=10

    Args:
        recipe: What to train: digits, digit_scenes or long_range, which bring their data; or on pictures of your own,
            with --data, imagenet_90, imagenet_350, fine_tune, pseudo_label or coco_mask_rcnn. lambdanets recipes NAME
            says what to expect of each.
        out: Folder of the run. By default a fresh one in runs/, named by date and recipe.
        set_: Change a field of the recipe's config, as field=value; any number of times. lambdanets recipes NAME lists
            the fields and what they mean. What a recipe makes of model, data.image_size, batch_size and epochs, such as
            the learning rate, follows them unless it is set too.
        data: Where the data is, for recipes that do not bring their own: a folder of class folders, tar shards, or a
            Hugging Face dataset on disk; for detection a COCO folder.
        max_time: Save and stop after so long, such as 90s, 45m or 11h30m; the exit code is 85 then.
        resume: Continue the run in the folder, exactly where it stopped.
    """
    began = time.monotonic()
    assignments = [*(set_ or []), *([f"data.path={data}"] if data else [])]
    return _train(recipe, out, assignments, max_time, resume, began)


def _train(
    recipe: str, out: Path | None, assignments: list[str], max_time: str | None, resume: bool, began: float
) -> int:
    """The exit code of a training, the same on each of its processes."""
    with stopping_told(lambda: NOTHING_BEGUN):  # while torch loads
        from lambdanets.cli.choice import choose_run, open_folder, prepare_chosen, record_command
        from lambdanets.cli.summary import describe_next, describe_result, describe_standing, fresh_folder
        from lambdanets.cli.training import EXIT_AGAIN, only_first_speaks, train_to_the_end
        from lambdanets.training.claim import claimed
        from lambdanets.training.distributed import joined_ranks
        from lambdanets.training.run import read_result

    with joined_ranks() as ranks, only_first_speaks(ranks), ExitStack() as held:
        path = ranks.from_first(lambda: out or fresh_folder(recipe))
        resume = resume or ranks.restarts > 0
        held.enter_context(stopping_told(lambda: describe_standing(path, recipe)))
        with mistakes_reported():
            seconds = None if max_time is None else seconds_of(max_time)
            config, folder = ranks.from_first(lambda: choose_run(recipe, path, assignments, resume))
            if result := ranks.from_first(lambda: read_result(folder) if resume else None):
                print(f"This run is finished.\n{describe_result(result, folder)}\n{describe_next(folder)}")
                return 0
            run = prepare_chosen(config, folder, resume, ranks)
            ranks.from_first(lambda: held.enter_context(claimed(path)))
            open_folder(run, folder, resume)
            ranks.from_first(lambda: record_command(folder, recipe, assignments, resume))
        left = None if seconds is None else began + seconds - time.monotonic()  # what loading took is over
        code = train_to_the_end(run, folder, left)
        return 0 if code == EXIT_AGAIN and ranks.count > 1 else code  # torchrun would start them again at once
