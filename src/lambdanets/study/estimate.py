"""How long a study will still take: what its parts guess of their pieces, corrected by what pieces took so far."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from lambdanets.study.part import Piece

TRUST = 5.0
"""Seconds of guessed work that a guess is worth: after so much has been done, it counts half."""


@dataclass
class _Pace:
    """How much of the guessed time was guessed, and how much it took."""

    guessed: float = 0.0
    took: float = 0.0

    def blended(self, beforehand: float) -> float:
        """Seconds that a guessed second takes, where `beforehand` was believed at first."""
        return (self.took + TRUST * beforehand) / (self.guessed + TRUST)


class Estimate:
    """The time left; each part has its own pace, which begins as that of all. May be told and asked by any thread."""

    def __init__(
        self, pieces: Mapping[str, Sequence[Piece]], *, hands: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`pieces`: by the name of their part, all that is to be done; `hands`: how many are done beside each other."""
        self.total = sum(map(len, pieces.values()))
        self.done = 0
        self._waiting = {(name, piece.key): piece for name, all_of_it in pieces.items() for piece in all_of_it}
        self._begun: dict[tuple[str, str], tuple[Piece, float]] = {}
        self._paces = {name: _Pace() for name in pieces}
        self._hands, self._now, self._lock = hands, now, Lock()

    def begin(self, part: str, piece: Piece) -> None:
        """A piece of a part is being done."""
        with self._lock:
            del self._waiting[part, piece.key]
            self._begun[part, piece.key] = piece, self._now()

    def end(self, part: str, piece: Piece) -> None:
        """It is done."""
        with self._lock:
            _, began = self._begun.pop((part, piece.key))
            self._paces[part].guessed += piece.seconds
            self._paces[part].took += self._now() - began
            self.done += 1

    def seconds_left(self) -> float:
        """What is left of the pieces that were begun, and all of those that wait."""
        with self._lock:
            begun = [(part, piece, self._now() - began) for (part, _), (piece, began) in self._begun.items()]
            waiting = [(part, piece, 0.0) for (part, _), piece in self._waiting.items()]
            return sum(
                max(0.0, piece.seconds * self._pace(part) - gone) / (self._hands if piece.beside else 1)
                for part, piece, gone in (*begun, *waiting)
            )

    def _pace(self, part: str) -> float:
        whole = _Pace(
            guessed=sum(pace.guessed for pace in self._paces.values()),
            took=sum(pace.took for pace in self._paces.values()),
        )
        return self._paces[part].blended(whole.blended(1.0))
