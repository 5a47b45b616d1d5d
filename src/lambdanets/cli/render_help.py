"""Renders the help of every verb into the files that `stored_help` reads.

    python -m lambdanets.cli.render_help

A test fails where that was forgotten.
"""

from io import StringIO

from cyclopts import App
from rich.console import Console

from lambdanets.cli.app import app
from lambdanets.cli.stored_help import FOLDER, file_name

WIDTH = 80
"""Columns that any terminal has."""


def render_help() -> dict[str, str]:
    """File name without suffix → the help, as the command line itself would render it."""
    return {file_name(words): _render(words) for words in [[], *_verbs(app)]}


def _verbs(group: App) -> list[list[str]]:
    """The words of every verb, and of those in groups, the group ahead of them."""
    found: list[list[str]] = []
    for verb in group:
        if not verb.startswith("-"):
            found += [[verb], *([verb, *words] for words in _verbs(group[verb]))]
    return found


def _render(words: list[str]) -> str:
    page = StringIO()
    console = Console(file=page, width=WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
    app.help_print(words, console=console)
    return "".join(line.rstrip() + "\n" for line in page.getvalue().splitlines())


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in render_help().items():
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")
