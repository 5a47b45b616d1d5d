"""The name that was probably meant, for messages about a name that is not known."""

from collections.abc import Iterable
from difflib import SequenceMatcher

ALIKE = 0.6
"""Resemblance from 0 to 1 below which one name is no hint at another."""


def nearest_name(word: str, known: Iterable[str], *, alike: float = ALIKE) -> str | None:
    """The known name that resembles `word` most, the first of equals; None where none does by at least `alike`.

    Names may have parts, as optimizer.learning_rate: their last parts are compared too, and initials find them (lr).
    """
    names = list(known)
    nearest = max(names, key=lambda name: _resemblance(word, name), default=None)
    return nearest if nearest is not None and _resemblance(word, nearest) >= alike else None


def _resemblance(word: str, name: str) -> float:
    """0…1; 1 for the same name, and for one whose initials were typed."""
    wanted, leaf = word.split(".")[-1], name.split(".")[-1]
    if wanted == "".join(part[:1] for part in leaf.split("_")):
        return 1.0
    return max(SequenceMatcher(None, word, name).ratio(), SequenceMatcher(None, wanted, leaf).ratio())
