"""One worker process: it is asked for batches over a line and answers in the order of the questions.

Ctrl-C, and whatever else a terminal or a cluster tells all processes of a job, it does not hear: the process that
started it decides when it ends, and it ends when that one is gone, however that came about.
"""

import contextlib
import multiprocessing
import multiprocessing.resource_tracker
import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from lambdanets.data.doing import Page, tell_on
from lambdanets.data.parcel import NoRoomError, receive_parcel, send_no_room, send_parcel

START_SECONDS = 180.0
"""A worker that is not ready so long after its start is taken to be hanging: it imports torch on a busy machine."""
_UNHEARD = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_PRELOADED = ["torchvision.transforms.v2", "timm.data.auto_augment", "lambdanets.data.stored"]
"""What workers need for pictures is loaded once, in the process that they are forked from, not in each of them."""


class WorkerLostError(Exception):
    """A worker that died, hangs, or does not get through; the message says which of them, as the end of a sentence."""


@dataclass(frozen=True)
class Failure:
    """What a worker answers when it could not make what it was asked for."""

    error: Exception


class Worker:
    """A process that makes answers to questions, and the line to it."""

    def __init__(self, make: Callable[[Any], Any], name: str) -> None:
        """Start it. It need not be waited for."""
        self._line, other = socket.socketpair()
        context = _context()
        self._process = context.Process(target=_work, args=(make, other), name=name, daemon=True)
        with _signals_held_back():
            self._process.start()
        other.close()
        self._page = Page()
        with contextlib.suppress(ConnectionError):
            socket.send_fds(self._line, [b"page"], [self._page.descriptor])
        self._page.close_descriptor()
        self.pid = self._process.pid
        self._ready = self._ended = False

    def ask(self, question: Any) -> None:
        """Send a question; never waits. Of a worker that is lost, `answer` will tell; NoRoomError as there."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            send_parcel(self._line, question)

    def answer(self, patience: float, stopped: Callable[[], bool]) -> Any:
        """The answer to the oldest question, waited for up to `patience` seconds.

        Raises:
            WorkerLostError: there will be none. Ask another worker.
            NoRoomError: this machine has no room to hand it over.
            InterruptedError: `stopped` became true.
            Exception: what making the answer raised.
        """
        if not self._ready:
            self._receive(max(patience, START_SECONDS), stopped)
            self._ready = True
        answer = self._receive(patience, stopped)
        if isinstance(answer, Failure):
            raise answer.error
        return answer

    def doing(self) -> str:
        """What it said it was at, also when it is lost; empty if it said nothing."""
        return self._page.read()

    def end(self) -> None:
        """End it at once; it has nothing to tidy up. May be called again."""
        if not self._ended:
            self._ended = True
            self._line.close()
            self._process.kill()
            self._process.join()
            self._process.close()

    def _receive(self, patience: float, stopped: Callable[[], bool]) -> Any:
        deadline = time.monotonic() + patience
        self._line.settimeout(0.2)
        while not stopped():
            try:
                return receive_parcel(self._line)
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise WorkerLostError(f"gave nothing for {patience:g} seconds") from None
            except (EOFError, ConnectionError):
                raise WorkerLostError(self._reason_of_death()) from None
        raise InterruptedError

    def _reason_of_death(self) -> str:
        self._process.join(5)
        code = self._process.exitcode
        if code is None:
            return "hung up"
        if code >= 0:
            return f"ended with exit code {code}"
        hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{hint}"


def _work(make: Callable[[Any], Any], line: socket.socket) -> None:
    """The life of a worker."""
    for name in _UNHEARD:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, ConnectionError):
        tell_on(socket.recv_fds(line, 4, 1)[1][0])
        send_parcel(line, "ready")
        while True:
            _respond(line, make, receive_parcel(line))


def _respond(line: socket.socket, make: Callable[[Any], Any], question: Any) -> None:
    try:
        answer = make(question)
    except Exception as error:
        answer = Failure(_sendable(error))
    try:
        send_parcel(line, answer)
    except NoRoomError as error:
        send_no_room(line, error)


def _sendable(error: Exception) -> Exception:
    """The error with a note that says where it was raised; in words, where it would not arrive as it is."""
    where = f"raised in a worker process:\n{''.join(traceback.format_exception(error))}"
    try:
        sent = pickle.loads(pickle.dumps(error))
    except Exception:
        sent = RuntimeError(f"{type(error).__name__}: {error}")
    sent.add_note(where)
    return sent


def _end_with_parent() -> None:
    """Whatever the main thread does, or hangs in."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _context() -> Any:
    """Forked from a process without threads, where the system can; a fork of this one could inherit a held lock."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED if _PRELOADED[-1] in sys.modules else [__name__])
    return context


@contextlib.contextmanager
def _signals_held_back() -> Any:
    """Processes that are started within do not hear the signals even before their first line; this one does after."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    multiprocessing.resource_tracker.ensure_running()  # it would lift the block
    unheard = {getattr(signal, name) for name in _UNHEARD if hasattr(signal, name)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, unheard)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
