"""An empty word on the command line is never meant: as a path it would be the folder that one stands in."""

from collections.abc import Sequence


def check_words(words: Sequence[str]) -> None:
    """Raise ValueError if a word is empty, or an option is given nothing: `--out "$UNSET"`, `--out=`."""
    for place, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option.startswith("--") and equals and not value:
            raise ValueError(_complaint(option))
        if not word:
            before = words[place - 1] if place else ""
            raise ValueError(_complaint(before if before.startswith("--") else ""))


def _complaint(option: str) -> str:
    where = f"{option}: " if option else ""
    return f"{where}got an empty word, perhaps of a shell variable that is not set: give it a value or leave it out."
