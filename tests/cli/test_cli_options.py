"""The options of every verb are those stored in tests/golden/: what people type in scripts never changes by accident.

After a change that is meant, run this file as a program: it writes the file anew.
"""

import json
from inspect import Parameter
from pathlib import Path

from cyclopts import App

from lambdanets.cli.app import app

GOLDEN = Path(__file__).parents[1] / "golden" / "cli_options.json"


def verbs(group: App) -> list[list[str]]:
    """The words of every verb that does something, the words of its group ahead of its own."""
    found: list[list[str]] = []
    for name in group:
        if not name.startswith("-"):
            below = verbs(group[name])
            found += [[name, *words] for words in below] or [[name]]
    return found


def options() -> dict[str, dict[str, str]]:
    """Verb → its arguments and options by all their names → the default, or that there has to be one."""
    found = {}
    for words in verbs(app):
        verb = app
        for word in words:
            verb = verb[word]
        found[" ".join(words)] = {
            " ".join(argument.names): _need(argument.required, argument.field_info.default)
            for argument in verb.assemble_argument_collection()
            if argument.names != ("*",)  # several options as one value
        }
    return found


def _need(required: bool, default: object) -> str:
    if required:
        return "required"
    return "any number" if default is Parameter.empty else f"default {default}"


def test_the_options_are_the_stored_ones() -> None:
    assert options() == json.loads(GOLDEN.read_text()), "if this is meant: python tests/cli/test_cli_options.py"


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(options(), indent=1) + "\n")
