import inspect

import pytest

from lambdanets.recipes.registry import RECIPES, find_recipe
from lambdanets.training.override import from_json, to_json


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_known_by_its_name_and_documented(name: str) -> None:
    config = find_recipe(name)
    assert config.recipe == name
    assert from_json(RECIPES[name](), to_json(config)) == config
    text = inspect.getdoc(RECIPES[name]) or ""
    for word in ("Command:", "Machine:", "Time:", "Expected:", "Measured:"):
        assert word in text


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'digits'"):
        find_recipe("digit")
