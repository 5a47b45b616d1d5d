"""The recipes by name, for `lambdanets train NAME`."""

from collections.abc import Callable

from lambdanets.nearest import advice
from lambdanets.recipes.digits import digits
from lambdanets.training.config import Config

RECIPES: dict[str, Callable[[], Config]] = {"digits": digits}
"""Name → function that returns the whole config."""


def find_recipe(name: str) -> Config:
    """The config of a recipe.

    Raises:
        ValueError: there is no recipe of that name; the nearest is named.
    """
    if name not in RECIPES:
        where = advice(name, RECIPES, kind="recipes", place="lambdanets.recipes.registry")
        raise ValueError(f"unknown recipe '{name}': {where}")
    return RECIPES[name]()
