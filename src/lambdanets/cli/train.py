"""`lambdanets train`: run a recipe into a folder, or go on with one."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lambdanets.cli.mistakes import mistakes_reported
from lambdanets.cli.stopped import NOTHING_BEGUN, stopping_told


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
        set_: Change a field of the recipe's config, as field=value; any number of times. The fields are recipe, seed,
            model, model_options, data.image_size, data.padding, data.rotation, data.scaling, data.shear,
            data.translation, data.validation_forms, task.label_smoothing, batch_size, epochs, optimizer.name,
            optimizer.learning_rate, optimizer.weight_decay, optimizer.momentum, optimizer.clip_norm,
            schedule.warmup_fraction, schedule.warmup_shape, schedule.start_factor, schedule.final_factor,
            average.decay, checkpoint.every_steps, checkpoint.keep, checkpoint.asynchronous, num_threads, device.
        resume: Continue the run in the folder, exactly where it stopped.
    """
    with stopping_told(lambda: NOTHING_BEGUN):  # while torch loads
        from lambdanets.cli.choice import choose_run, open_folder, prepare_chosen, record_command
        from lambdanets.cli.summary import describe_next, describe_result, describe_standing, fresh_folder
        from lambdanets.cli.training import train_to_the_end
        from lambdanets.training.claim import claimed
        from lambdanets.training.run import read_result

    path = out or fresh_folder(recipe)
    with stopping_told(lambda: describe_standing(path, recipe)), ExitStack() as held:
        with mistakes_reported():
            config, folder = choose_run(recipe, path, set_ or [], resume)
            if resume and (result := read_result(folder)):
                print(f"This run is finished.\n{describe_result(result, folder)}\n{describe_next(folder)}")
                return 0
            run = prepare_chosen(config, folder, resume)
            held.enter_context(claimed(path))
            open_folder(run, folder, resume)
            record_command(folder, recipe, set_ or [], resume)
        return train_to_the_end(run, folder)
