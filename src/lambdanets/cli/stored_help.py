"""What `--help` prints, kept as text in `help/`: importing what renders it would take most of the answer's time."""

from pathlib import Path

FOLDER = Path(__file__).with_name("help")
ALL_VERBS = "all-verbs"
"""Name of the text without a verb; not one that a verb can have."""


def stored_help(words: list[str]) -> str | None:
    """The help that a command line asks for; None if it asks for something else, or for the help of an unknown verb."""
    if len(words) > 3 or (words and words[-1] not in ("--help", "-h")):
        return None
    verbs = words[:-1]
    if not all(verb.replace("-", "_").isidentifier() for verb in verbs):
        return None
    path = FOLDER / f"{file_name(verbs)}.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def file_name(verbs: list[str]) -> str:
    """What the help of a verb is kept as, without the suffix: two words for one in a group, none for all verbs."""
    return "-".join(verbs) or ALL_VERBS
