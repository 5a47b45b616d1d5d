"""What `--help` prints, kept as text in `help/`: importing what renders it would take most of the answer's time."""

from pathlib import Path

FOLDER = Path(__file__).with_name("help")
ALL_VERBS = "all-verbs"
"""Name of the text without a verb; not one that a verb can have."""


def stored_help(words: list[str]) -> str | None:
    """The help that a command line asks for; None if it asks for something else, or for the help of an unknown verb."""
    if len(words) > 2 or (words and words[-1] not in ("--help", "-h")):
        return None
    verb = words[0] if len(words) == 2 else ALL_VERBS
    if len(words) == 2 and not verb.isidentifier():
        return None
    path = FOLDER / f"{verb}.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else None
