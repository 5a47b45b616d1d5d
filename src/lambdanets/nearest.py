"""The name that was probably meant, for messages about a name that is not known."""

from collections.abc import Iterable
from difflib import SequenceMatcher

FEW = 6
"""Names that can be read in a line."""
ALIKE = 0.6
"""Resemblance from 0 to 1 below which one name is no hint at another."""


def advice(word: str, known: Iterable[str], *, kind: str, place: str) -> str:
    """What to say to a name that is not known: the nearest; the few that there are; or the place that lists the many.

    `kind` is their plural, as fields; `place` what lists them, as `lambdanets models`.
    """
    names = list(known)
    nearest = nearest_name(word, names)
    if nearest is not None:
        return f"did you mean '{nearest}'?"
    return f"the {kind} are {', '.join(names)}." if len(names) <= FEW else f"{place} lists the {kind}."


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
    if not wanted:
        return 0.0  # data. may mean anything in data
    if wanted == "".join(part[:1] for part in leaf.split("_")):
        return 1.0
    return max(SequenceMatcher(None, word, name).ratio(), SequenceMatcher(None, wanted, leaf).ratio())
