"""Changing and keeping configs: `a.b=c` from the command line, JSON in the run folder. Unknown fields fail by name.

The types come from the config that is changed, so a recipe decides which data and task classes are in it.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from lambdanets.nearest import advice

ConfigT = TypeVar("ConfigT")


def with_assignments(config: ConfigT, assignments: Iterable[str]) -> ConfigT:
    """The config changed by texts such as `optimizer.learning_rate=0.01`, one after the other.

    Raises:
        ValueError: a text without `=`, a field that does not exist (the nearest is named), a value of the wrong kind.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"got '{assignment}', wanted field=value, e.g. seed=1.")
        config = _with_value(config, path.strip(), text.strip())
    return config


def to_json(config: object) -> dict[str, Any]:
    """The config as nested dicts of plain values, ready for json.dump."""
    return dataclasses.asdict(config)  # type: ignore[call-overload]


def from_json(config: ConfigT, stored: Mapping[str, Any]) -> ConfigT:
    """The config with every stored value put in.

    Raises:
        ValueError: a stored field that this config does not have, a value of the wrong kind.
    """
    for path, value in _leaves(config, stored):
        config = _with_value(config, path, value)
    return config


def field_names(config: object, prefix: str = "") -> list[str]:
    """The dotted name of every field that can be set, in order."""
    names = []
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            names += field_names(value, f"{prefix}{field.name}.")
        else:
            names.append(prefix + field.name)
    return names


def _leaves(config: object, stored: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """(dotted name, value) of everything stored; what is a dict in JSON may be a group of fields or one field."""
    leaves = []
    for name, value in stored.items():
        if isinstance(value, Mapping) and dataclasses.is_dataclass(getattr(config, name, None)):
            leaves += _leaves(getattr(config, name), value, f"{prefix}{name}.")
        else:
            leaves.append((prefix + name, value))
    return leaves


def _with_value(config: ConfigT, path: str, value: Any) -> ConfigT:
    """The config with one field replaced; `path` is its dotted name."""
    return _replace(config, path.split("."), value, config, path)


def _replace(node: Any, names: list[str], value: Any, root: object, path: str) -> Any:
    name, *rest = names
    if isinstance(node, Mapping):  # options of a network: any name will do, the network judges it
        return {**node, ".".join(names): _parse(value, Any, path)}
    if not dataclasses.is_dataclass(node) or name not in {field.name for field in dataclasses.fields(node)}:
        place = f"lambdanets recipes {getattr(root, 'recipe', 'NAME')}"
        where = advice(path, field_names(root), kind="fields", place=place)
        raise ValueError(f"unknown field '{path}': {where}")
    old = getattr(node, name)
    if rest:
        return dataclasses.replace(node, **{name: _replace(old, rest, value, root, path)})  # type: ignore[type-var]
    if dataclasses.is_dataclass(old):
        inner = [entry for entry in field_names(root) if entry.startswith(path + ".")]
        raise ValueError(f"'{path}' is a group of fields: set one of them, e.g. {inner[0]}=….")
    new = _parse(value, typing.get_type_hints(type(node))[name], path)
    return dataclasses.replace(node, **{name: new})  # type: ignore[type-var]


def _parse(value: Any, wanted: Any, path: str) -> Any:
    """The value as the wanted type; text (from the command line) is read as JSON where no text is wanted."""
    given = value
    if isinstance(value, str) and not _takes_text(wanted, value):
        value = _read(value)
    converted = _convert(value, wanted)
    if converted is _WRONG:
        raise ValueError(f"{path}: got '{given}', wanted {_describe(wanted)}.")
    return converted


_WRONG = object()


def _read(text: str) -> Any:
    if text.lower() in ("none", "null"):
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for candidate in (text, f"[{text}]"):
        try:
            return json.loads(candidate)
        except ValueError:
            continue
    return text


def _convert(value: Any, wanted: Any) -> Any:
    """The value as an instance of the wanted type, or _WRONG. A whole number will do where a real one is wanted."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted is Any:
        return tuple(value) if isinstance(value, list) else value
    if origin is Literal:
        return value if value in arguments else _WRONG
    if origin in (typing.Union, types.UnionType):
        return next((new for part in arguments if (new := _convert(value, part)) is not _WRONG), _WRONG)
    if origin is tuple:
        return _convert_tuple(value, arguments)
    if wanted in (None, type(None)):
        return None if value is None else _WRONG
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return value if isinstance(value, Mapping) else _WRONG
    if isinstance(value, bool) and wanted is not bool:
        return _WRONG
    if wanted is float and isinstance(value, int):
        return float(value)
    return value if isinstance(value, wanted) else _WRONG


def _convert_tuple(value: Any, arguments: tuple[Any, ...]) -> Any:
    parts = value if isinstance(value, list | tuple) else [value]
    converted = tuple(_convert(part, arguments[0]) for part in parts)
    return _WRONG if _WRONG in converted else converted


def _takes_text(wanted: Any, text: str) -> bool:
    """Whether the text is meant as it stands."""
    parts = typing.get_args(wanted) or (wanted,)
    if typing.get_origin(wanted) is Literal:
        return text in parts
    return set(parts) <= {str, type(None)} and not (type(None) in parts and _read(text) is None)


def _describe(wanted: Any) -> str:
    """The wanted type in plain words."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Literal:
        return "one of " + ", ".join(str(argument) for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(part) for part in arguments)
    if origin is tuple:
        return f"a list with each part {_describe(arguments[0])}, such as 0,5"
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "none"}
    return words.get(wanted, "name=value pairs" if origin else str(wanted))
