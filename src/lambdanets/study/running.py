"""Finds out what has not been found out yet, piece by piece; every answer is a file at once.

Pieces that run in a process of their own stand beside each other, two at a time; each other piece is alone. Whatever
ends a study, the answers that it has so far are kept, and the next call goes on with the rest.
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Protocol

from lambdanets.study.answers import Drawer, Kept, check_keys
from lambdanets.study.part import Answer, Part, Piece, StudyOptions
from lambdanets.study.stamp import stamp_now
from lambdanets.training.cores import usable_cores


class Watcher(Protocol):
    """Who looks on."""

    def begin(self, part: Part, piece: Piece) -> None:
        """A piece is being done."""
        ...

    def end(self, part: Part, piece: Piece) -> None:
        """It is done, and its answer is kept."""
        ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done of a part, and what need not be."""

    part: Part
    pieces: Sequence[Piece]
    """All of them."""
    missing: Sequence[Piece]
    """Those without an answer that can be used."""
    again: Mapping[str, str]
    """Keys of those whose kept answer cannot be used → why."""


def plan(part: Part, options: StudyOptions) -> Plan:
    """What the part needs, against what the folder has.

    Raises:
        ValueError: the part cannot do what the options ask for; or its pieces cannot be told apart.
    """
    pieces, drawer, now = part.pieces(options), Drawer.of(part, options), stamp_now(options)
    check_keys(part, pieces)
    reasons = {piece.key: drawer.why_again(piece.key, now) for piece in pieces}
    return Plan(
        part=part,
        pieces=pieces,
        missing=[piece for piece in pieces if not drawer.has(piece.key, now)],
        again={key: reason for key, reason in reasons.items() if reason is not None},
    )


def find_out(wanted: Plan, options: StudyOptions, watcher: Watcher) -> dict[str, Kept]:
    """The answers to all pieces of a part, by key, those that were missing found out now.

    Raises:
        NotWrittenError: an answer cannot be written.
        Exception: what a piece raised, and which piece; all answers so far are kept.
    """
    drawer = Drawer.of(wanted.part, options)
    for is_beside, group in groupby(wanted.missing, key=lambda piece: piece.beside):
        run = _side_by_side if is_beside else _one_by_one
        for piece, answer, seconds in run(wanted.part, list(group), watcher):
            drawer.keep(piece.key, Kept(answer=answer, seconds=seconds, stamp=stamp_now(options)))
            watcher.end(wanted.part, piece)
    kept = {piece.key: drawer.read(piece.key) for piece in wanted.pieces}
    return {key: answer for key, answer in kept.items() if answer is not None}


def hands() -> int:
    """How many pieces are done beside each other: two, where there are two cores."""
    return min(2, usable_cores())


Done = Iterator[tuple[Piece, Answer, float]]
"""Piece, answer, and the seconds that it took, in the order in which they were finished."""


def _one_by_one(part: Part, pieces: Sequence[Piece], watcher: Watcher) -> Done:
    for piece in pieces:
        watcher.begin(part, piece)
        yield _done(part, piece)


def _side_by_side(part: Part, pieces: Sequence[Piece], watcher: Watcher) -> Done:
    """The same in threads, which only wait for processes of their pieces' own."""
    waiting, lock, enough = iter(pieces), Lock(), Event()
    finished: SimpleQueue[tuple[Piece, Answer, float] | Exception] = SimpleQueue()

    def work() -> None:
        while not enough.is_set():
            with lock:
                piece = next(waiting, None)
                if piece is None:
                    return
                watcher.begin(part, piece)
            try:
                finished.put(_done(part, piece))
            except Exception as error:
                finished.put(error)

    before = _child_processes()
    try:
        for _ in range(min(hands(), len(pieces))):
            Thread(target=work, daemon=True).start()  # a daemon: who stops does not wait for it
        for _ in pieces:
            result = finished.get()
            if isinstance(result, Exception):
                raise result
            yield result
    except BaseException:
        enough.set()
        _end(_child_processes() - before)
        raise


def _done(part: Part, piece: Piece) -> tuple[Piece, Answer, float]:
    began = time.monotonic()
    try:
        answer = piece.work()
    except ValueError as error:
        raise ValueError(f"{part.name}, {piece.key}: {error}") from error
    except Exception as error:
        error.add_note(f"This was the piece {piece.key} of the part {part.name}.")
        raise
    return piece, answer, time.monotonic() - began


def _end(processes: set[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)


def _child_processes() -> set[int]:
    """Processes that this one has started and that have not ended, where the system tells."""
    found: set[int] = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found.update(map(int, file.read_text().split()))
    return found
