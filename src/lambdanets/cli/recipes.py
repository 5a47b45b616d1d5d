"""`lambdanets recipes`: what can be trained, and what of it can be set."""

import textwrap
from collections.abc import Iterator
from typing import Any

from lambdanets.cli.mistakes import mistakes_reported

WIDTH = 100


def recipes(name: str | None = None, /) -> None:
    """List what can be trained; of one recipe, what to expect, and every field that train --set changes.

    Example: lambdanets recipes digits

    Args:
        name: A recipe; by default all of them, a line each.
    """
    from lambdanets.cli.table import print_rows
    from lambdanets.recipes.registry import RECIPES, find_recipe
    from lambdanets.training.fields import described_fields

    with mistakes_reported():
        config = find_recipe(name) if name is not None else None
    if config is None or name is None:
        print_rows(("recipe", "what it trains"), [(each, _says(made)[0]) for each, made in RECIPES.items()])
        return
    print("\n\n".join(_says(RECIPES[name])))
    print("\nIts fields, for lambdanets train --set FIELD=VALUE:\n")
    for field in described_fields(config):
        print("\n".join(_lines(field.name, field.value, field.says)))


def _says(recipe: Any) -> list[str]:
    """The paragraphs of a recipe's docstring."""
    lines = (recipe.__doc__ or "").splitlines()
    return "\n".join([lines[0], textwrap.dedent("\n".join(lines[1:]))]).strip().split("\n\n")


def _lines(name: str, value: Any, says: str) -> Iterator[str]:
    yield f"{name} = {_shown(value)}"
    yield from textwrap.wrap(says, WIDTH, initial_indent="    ", subsequent_indent="    ")


def _shown(value: Any) -> str:
    """The value as --set takes it."""
    if isinstance(value, tuple):
        return ",".join(map(_shown, value)) or "[]"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_shown(part)}" for name, part in value.items()) or "none set"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'
