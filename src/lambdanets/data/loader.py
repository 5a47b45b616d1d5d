"""Batches made ahead of need by worker processes, in an order that no worker can change.

Each batch is a pure function of its request, so a worker that is lost costs time and nothing else: another one makes
the batches that it owed. Batch i is made by worker i mod W, and handed out as the i-th, so none is lost or doubled.

Why not torch's DataLoader: docs/decisions/0007-loader.md.
"""

import atexit
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.parcel import NoRoomError
from lambdanets.data.workers import Worker, WorkerLostError
from lambdanets.printable import printable

Batch = TypeVar("Batch")


class Request(NamedTuple):
    """Which samples a batch is made of."""

    step: int
    """Of the run, or the batch's place in an evaluation; shown when something goes wrong."""
    indices: NDArray[np.int64]
    """(b,) of the split."""
    epochs: NDArray[np.int64]
    """(b,) in which epoch each is seen; chooses its augmentation."""


class LoaderError(RuntimeError):
    """Workers are lost again and again, so that no batch comes."""


@dataclass(frozen=True, kw_only=True)
class LoaderConfig:
    """How batches are made ahead of need."""

    workers: int = 0
    """Processes that read, decode and vary pictures, 0 or more; 0: the training process does it itself."""
    prefetch: int = 2
    """Batches that each worker makes ahead of need, 1 or more."""
    timeout: float = 60.0
    """Seconds a worker may take for a batch that is waited for, above 0; after them it is replaced."""
    restarts: int = 3
    """How often in a row workers are replaced with no batch in between, 0 or more, before the run gives up."""

    def __post_init__(self) -> None:
        """Refuse numbers with which no batch would come."""
        for name, low in (("workers", 0), ("prefetch", 1), ("restarts", 0)):
            if getattr(self, name) < low:
                raise ValueError(f"loader.{name}: got {getattr(self, name)}, wanted {low} or more.")
        if not self.timeout > 0:
            raise ValueError(f"loader.timeout: got {self.timeout}, wanted seconds above 0.")


def load_batches(
    make: Callable[[Request], Batch],
    requests: Callable[[int], Iterator[Request]],
    first_step: int,
    config: LoaderConfig,
    *,
    pin: bool,
    warn: Callable[[str], object],
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[Batch, None, None]:
    """make(request) for each of requests(first_step), in order; made ahead in processes if there are any workers.

    `make` must be a pure function of its request and, with workers, must survive pickling: it is sent to them. What it
    raises is raised here, in its batch's turn. With `pin` a batch's pin_memory() is handed out, called in a thread.
    `warn` is told in one sentence of a worker that is lost and of a machine without room; nothing is lost by either.
    Close the iterator to end the workers; the garbage collector and the end of the process do it too.

    Raises:
        InterruptedError: `stopped` became true while a worker was waited for.
        LoaderError: workers were lost `config.restarts` + 1 times in a row.
    """
    asked = requests(first_step)
    if config.workers == 0:
        return (_pinned(make(request)) if pin else make(request) for request in asked)
    pool = _Pool(make, asked, config, warn, stopped)
    return _pinned_ahead(pool) if pin else pool.batches()


class _Pool(Generic[Batch]):
    """The workers, and what each of them owes."""

    def __init__(
        self,
        make: Callable[[Request], Batch],
        asked: Iterator[Request],
        config: LoaderConfig,
        warn: Callable[[str], object],
        stopped: Callable[[], bool],
    ) -> None:
        self.stopped = threading.Event()
        self._stopped_outside = stopped
        self._make, self._asked, self._config, self._warn = make, asked, config, warn
        self._workers: list[Worker] = []
        self._owed: list[deque[Request]] = [deque() for _ in range(config.workers)]
        self._turn = 0
        self._losses = 0

    def batches(self) -> Generator[Batch, None, None]:
        """All of them; the workers start with the first and end with the last, or with the iterator."""
        atexit.register(self.close)  # before multiprocessing's own, which would wait for them
        try:
            yield from self._from_workers()
        except NoRoomError as error:
            self.close()
            self._warn(
                f"this machine has no room to hand batches from one process to another ({error.strerror}); the "
                "training process makes them itself from here on, which is slower: give it more memory, or set "
                "loader.workers=0."
            )
            yield from map(self._make, self._left())
        finally:
            self.close()
            atexit.unregister(self.close)

    def close(self) -> None:
        """End the workers, at once."""
        while self._workers:
            self._workers.pop().end()

    def _from_workers(self) -> Iterator[Batch]:
        for place in range(len(self._owed)):
            self._workers.append(Worker(self._make, f"loader-{place}"))
        for _ in range(self._config.prefetch):
            for place in range(len(self._workers)):
                self._ask(place)
        while owed := self._owed[self._turn]:
            batch = self._await(self._turn)
            self._losses = 0
            self._ask(self._turn)  # before the batch is off the list: if there is no room to ask, it is made again
            owed.popleft()
            self._turn = (self._turn + 1) % len(self._workers)
            yield batch

    def _ask(self, place: int) -> None:
        request = next(self._asked, None)
        if request is not None:
            self._owed[place].append(request)
            self._workers[place].ask(request)

    def _await(self, place: int) -> Batch:
        """What the worker at this place owes first, of whichever worker stands there in the end."""
        while True:
            try:
                return self._workers[place].answer(self._config.timeout, self._is_stopped)
            except WorkerLostError as loss:
                self._replace(place, loss)

    def _is_stopped(self) -> bool:
        return self.stopped.is_set() or self._stopped_outside()

    def _replace(self, place: int, loss: WorkerLostError) -> None:
        worker, owed, self._losses = self._workers[place], self._owed[place], self._losses + 1
        doing = f", at {printable(worker.doing())}" if worker.doing() else ""
        event = f"data worker {worker.pid} {loss} at the batch of step {owed[0].step}{doing}"
        worker.end()
        if self._losses > self._config.restarts:
            raise LoaderError(
                f"{event}, and so did those before it: no batch came from {self._losses} workers in a row. Set "
                "loader.workers=0 to see what goes wrong, or raise loader.timeout if reading is only slow."
            ) from None
        self._warn(f"{event}; another one makes what it owed, nothing is lost.")
        self._workers[place] = Worker(self._make, f"loader-{place}")
        for request in owed:
            self._workers[place].ask(request)

    def _left(self) -> Iterator[Request]:
        """What is owed, in order, and then what was not asked for yet."""
        rounds = zip_longest(*self._owed[self._turn :], *self._owed[: self._turn])
        yield from (request for requests in rounds for request in requests if request is not None)
        yield from self._asked


def _pinned(batch: Any) -> Any:
    return batch.pin_memory()


_END = object()


def _pinned_ahead(pool: _Pool[Any]) -> Generator[Any, None, None]:
    """The pool's batches in pinned memory; a thread copies the next one there while this one is computed with."""
    ready: queue.Queue[Any] = queue.Queue(maxsize=1)

    def put(item: Any) -> None:
        """Unless nobody takes anything any more."""
        while not pool.stopped.is_set():
            try:
                ready.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def pin_all() -> None:
        """The thread: batches, then the end or an error."""
        batches = pool.batches()
        try:
            for batch in batches:
                put(_pinned(batch))
            put(_END)
        except Exception as error:  # InterruptedError among them, which nobody takes if it came from here
            put(error)
        finally:
            batches.close()  # type: ignore[attr-defined]

    thread = threading.Thread(target=pin_all, name="pin", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        pool.stopped.set()
        thread.join()
