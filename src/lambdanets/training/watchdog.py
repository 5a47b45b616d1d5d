"""Finds the process that died or hangs among those that train together, says which, and lets none wait for it.

Every process holds a line to the first one and sends a beat each second from a thread of its own, however long a read
or a judgement takes. A line that ends without a word is a death; a line without beats is a hang, as of a process that
was stopped or a machine that is gone. A hanging process is ended by one of its own machine, because torchrun would
wait for it; then every process ends with `EXIT_LOST`, and torchrun starts them all again.
"""

import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lambdanets.training.line import HELLO_SECONDS, Line, call, listen
from lambdanets.training.member import Member

EXIT_LOST = 75
"""Another process of the training was lost: nothing is wrong with this one."""
BEAT = 1.0
"""Seconds between beats."""
SILENCE = 12
"""Beats in a row that may be missing; counted, not timed, so that a machine that slept blames nobody."""
GRACE = 5.0
"""Seconds a process has to end by itself once another one is lost."""

_BEAT, _BYE, _FAILED, _LOST = "beat", "bye", "failed", "lost"


def tell(sentence: str) -> None:
    """On standard error, at once."""
    print(f"lambdanets: {sentence}", file=sys.stderr, flush=True)


class Watchdog:
    """Watches the other processes from a thread, from `__init__` until `close`."""

    def __init__(
        self,
        rank: int,
        address: str,
        gather: Callable[[Member], list[Member]],
        *,
        tell: Callable[[str], None] = tell,
        end: Callable[[], None] = lambda: os._exit(EXIT_LOST),
    ) -> None:
        """Meet the others: `address` is the first one's, `gather` gives the members of all, by rank.

        `tell` is given a sentence about the one that was lost (default: printed on standard error, once of all
        processes), `end` ends this process if it has not closed its watchdog soon after.
        """
        self._selector = selectors.DefaultSelector()
        self._lines: dict[int, Line] = {}
        listening = listen(address) if rank == 0 else None
        self._me = Member.this_process(rank, listening.getsockname()[1] if listening else 0)
        self._members = gather(self._me)
        self._tell, self._end = tell, end
        self._closing, self._news = threading.Event(), threading.Event()
        self._lost: Member | None = None
        if listening:
            self._accept_all(listening)
        else:
            self._add(0, call(address, self._members[0].port, self._members[0].secret, rank))
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def has_lost(self, within: float) -> bool:
        """Whether another process was lost, or is found to be within so many seconds."""
        return self._news.wait(within)

    def leave(self, failure: str | None = None) -> None:
        """Say that this process ends, and why if it failed: the others need not guess."""
        for line in self._lines.values():
            line.send(_BYE if failure is None else f"{_FAILED} {' '.join(failure.split())[:300]}")

    def close(self) -> None:
        """Watch no more. May be called again."""
        self._closing.set()
        if self._thread is not threading.current_thread():
            self._thread.join(2 * BEAT)
        for line in self._lines.values():
            line.close()
        self._lines.clear()

    def _accept_all(self, listening: socket.socket) -> None:
        listening.settimeout(HELLO_SECONDS)
        with listening:
            while len(self._lines) + 1 < len(self._members):
                try:
                    line = Line(listening.accept()[0])
                except TimeoutError as error:
                    missing = sorted({*range(1, len(self._members))} - self._lines.keys())
                    raise TimeoutError(f"ranks {missing} have not called for {HELLO_SECONDS:.0f} seconds.") from error
                if (rank := line.greeting(self._me.secret)) is None:
                    line.close()
                else:
                    self._add(rank, line)

    def _add(self, rank: int, line: Line) -> None:
        self._lines[rank] = line
        self._selector.register(line.socket, selectors.EVENT_READ, rank)

    def _watch(self) -> None:
        ticked = time.monotonic()
        while not self._closing.is_set():
            if not self._selector.get_map():
                return
            for key, _ in self._selector.select(BEAT / 4):
                self._listen_to(key.data)
            if self._lost is not None:
                self._leave_grace()
                return
            if time.monotonic() - ticked >= BEAT:
                ticked = time.monotonic()
                self._tick()

    def _tick(self) -> None:
        """Beat, and count the beats that others have missed."""
        for rank in self._watched():
            line = self._lines[rank]
            line.send(_BEAT)
            line.missed += 1
            if line.missed > SILENCE:
                self._lose(rank, f"has not been heard of for {line.missed * BEAT:.0f} seconds and hangs", hangs=True)

    def _listen_to(self, rank: int) -> None:
        line = self._lines[rank]
        for word, rest in line.read():
            if word == _BYE:
                self._forget(rank)
                return
            if word == _FAILED:
                self._lose(rank, f"failed: {rest.rstrip('.')}")
            elif word == _LOST:
                number, hangs, why = rest.split("|", 2)
                self._lose(int(number), why, hangs=hangs == "True", told=True)
        if line.ended:
            self._forget(rank)
            self._lose(rank, "ended without a word")

    def _lose(self, rank: int, why: str, *, hangs: bool = False, told: bool = False) -> None:
        """Take note of a lost process, the first time; pass it on."""
        if self._lost is not None or self._closing.is_set():
            return
        self._lost = member = self._members[rank]
        for other in self._watched():
            self._lines[other].send(f"{_LOST} {rank}|{hangs}|{why}")
        ended = hangs and member.end()
        if not told and self._me.rank == (1 if rank == 0 else 0):
            so = "it was ended, and all others end" if ended else "all others end"
            self._tell(f"{member} {why}; {so}, so that torchrun can start them again from the last checkpoint.")
        self._news.set()

    def _leave_grace(self) -> None:
        if not self._closing.wait(GRACE):
            self._end()

    def _watched(self) -> list[int]:
        return [key.data for key in self._selector.get_map().values()]

    def _forget(self, rank: int) -> None:
        self._selector.unregister(self._lines[rank].socket)


@contextmanager
def watched(watchdog: Watchdog) -> Iterator[None]:
    """Within this block the others are watched; how it is left is told them; their loss is no error of ours."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, RuntimeError) and watchdog.has_lost(within=2 * BEAT):
            raise SystemExit(EXIT_LOST) from None
        watchdog.leave(_failure(error))
        raise
    else:
        watchdog.leave()


def _failure(error: BaseException) -> str | None:
    """What went wrong in words; None for an end whose reason is told already, or that was asked for."""
    return f"{type(error).__name__}: {error}" if isinstance(error, Exception) else None
