"""The recipes by name, for `lambdanets train NAME`."""

from collections.abc import Callable, Sequence
from inspect import signature

from lambdanets.nearest import advice
from lambdanets.recipes.coco_mask_rcnn import coco_mask_rcnn
from lambdanets.recipes.digit_scenes import digit_scenes
from lambdanets.recipes.digits import digits
from lambdanets.recipes.fine_tune import fine_tune
from lambdanets.recipes.imagenet import imagenet_90, imagenet_350
from lambdanets.recipes.long_range import long_range
from lambdanets.recipes.pseudo_label import pseudo_label
from lambdanets.training.config import Config
from lambdanets.training.override import with_assignments

RECIPES: dict[str, Callable[..., Config]] = {
    "digits": digits,
    "digit_scenes": digit_scenes,
    "imagenet_90": imagenet_90,
    "imagenet_350": imagenet_350,
    "fine_tune": fine_tune,
    "pseudo_label": pseudo_label,
    "coco_mask_rcnn": coco_mask_rcnn,
    "long_range": long_range,
}
"""Name → function that returns the whole config. Its keyword parameters, if any, are among `FOLLOWED`."""
FOLLOWED = {
    "model": "model",
    "image_size": "data.image_size",
    "batch_size": "batch_size",
    "epochs": "epochs",
    "init": "task.init",
}
"""Parameter of a recipe → the field that decides it: what a recipe makes of one follows when it is set."""


def find_recipe(name: str, assignments: Sequence[str] = ()) -> Config:
    """The config of a recipe, changed by texts such as `model=lambda_resnet101`.

    The recipe is told first which model, image size and such are wanted, so that what depends on them follows; then
    every assignment is made, so that an explicit one wins.

    Raises:
        ValueError: there is no recipe of that name; an assignment that cannot be made; the nearest is named.
    """
    if name not in RECIPES:
        where = advice(name, RECIPES, kind="recipes", place="lambdanets recipes")
        raise ValueError(f"unknown recipe '{name}': {where}")
    recipe = RECIPES[name]
    config = recipe()
    assigned = {assignment.partition("=")[0].strip() for assignment in assignments}
    if "data.path" in assigned and not hasattr(config.data, "path"):
        raise ValueError(f"--data: the recipe {name} brings its own data: leave --data out, or name another recipe.")
    wanted = with_assignments(config, assignments)
    told = {name: _value(wanted, FOLLOWED[name]) for name in signature(recipe).parameters if FOLLOWED[name] in assigned}
    return with_assignments(recipe(**told), assignments) if told else wanted


def _value(config: Config, field: str) -> object:
    value: object = config
    for name in field.split("."):
        value = getattr(value, name)
    return value
