"""The fields of a config with what is said of them: a docstring stands under each field of a class."""

import ast
import dataclasses
import inspect
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple


class Field(NamedTuple):
    """A field that can be set."""

    name: str
    """Its dotted name."""
    value: Any
    """What the recipe sets it to."""
    says: str
    """What its class says of it."""


def described_fields(config: object, prefix: str = "") -> list[Field]:
    """Every field of a config, groups of fields by their parts, in order."""
    found, said = [], _said_of(type(config))
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found += described_fields(value, f"{prefix}{field.name}.")
        else:
            found.append(Field(prefix + field.name, value, said.get(field.name, "")))
    return found


@cache
def _said_of(kind: type) -> dict[str, str]:
    """Field → the docstring under it, in a class or the classes that it extends."""
    said: dict[str, str] = {}
    for part in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(part):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
        assert isinstance(tree.body[0], ast.ClassDef)
        body = tree.body[0].body
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(field.target, ast.Name):
                said[field.target.id] = " ".join(ast.literal_eval(below.value).split())
    return said
