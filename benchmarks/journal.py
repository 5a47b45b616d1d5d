"""Measurements that survive: JSON lines, added one by one by a worker that may die without ending the run.

A run is a list of keys. A worker process answers them in turn, step by step where a key has steps; what kills it, or
keeps it silent for too long, is written down beside the step it was at, and another worker goes on behind it. So a
kernel that breaks the GPU's context costs one contender of one case, and a time-out keeps what was measured.
"""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

Answer = Any
"""What JSON can hold."""
POLL = 0.1
"""Seconds between looks at a worker."""


class Journal:
    """The lines of a file, read once when made; later lines are added to both."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head = ""
        """Where and when it was begun."""
        self.answers: dict[str, Answer] = {}
        """By key."""
        self.deaths: dict[str, dict[str, str]] = {}
        """Key → step → why the worker ended there."""
        self.open: tuple[str, str] | None = None
        """The key and step that a worker was last at, and has not answered."""
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            with suppress(ValueError):  # half a line, of a worker that was killed in the middle of it
                self._take(json.loads(line))

    def begin(self, key: str, step: str = "") -> None:
        """A worker is now at this."""
        self._add({"key": key, "step": step})

    def answer(self, key: str, answer: Answer) -> None:
        """The key is done."""
        self._add({"key": key, "answer": answer})

    def bury(self, why: str) -> None:
        """The worker ended at what is open: that step is left out from now on; a key without steps is answered."""
        assert self.open is not None
        key, step = self.open
        self._add({"key": key, "death": step, "why": why})
        if not step:
            self.answer(key, {"failed": why})

    def describe(self, head: str) -> None:
        """Say where and when it was begun, unless that has been said."""
        if not self.head:
            self._add({"head": head})

    def _add(self, entry: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        self.head = entry.get("head", self.head)
        if "answer" in entry:
            self.answers[entry["key"]] = entry["answer"]
            self.open = None
        elif "death" in entry:
            self.deaths.setdefault(entry["key"], {})[entry["death"]] = entry["why"]
            self.open = None
        elif "step" in entry:
            self.open = entry["key"], entry["step"]


def work(
    keys: Sequence[str],
    journal: Journal,
    measure: Callable[[str], Answer],
    *,
    until: float = float("inf"),
    after: Callable[[], object] = lambda: None,
) -> None:
    """Answer what has no answer yet, in turn, calling `after` behind each; none is begun later than `until` (epoch)."""
    for index, key in enumerate(keys):
        if key in journal.answers:
            continue
        if time.time() > until:
            print(f"time is up: {len(keys) - index} of {len(keys)} left", flush=True)
            return
        start = time.monotonic()
        journal.begin(key)
        journal.answer(key, measure(key))
        print(f"[{index + 1} of {len(keys)}, {time.monotonic() - start:.0f} s] {key}", flush=True)
        after()


def supervise(command: Sequence[str], keys: Sequence[str], path: Path, *, patience: float, until: float) -> None:
    """Run a worker, and another one as long as one dies before every key is answered.

    Args:
        command: starts a worker.
        keys: what it should answer.
        path: of the journal.
        patience: seconds in which a worker has to write something down, or it is ended.
        until: seconds since the epoch; a worker that has been silent since half of `patience` then is ended, for good.

    Raises:
        RuntimeError: a worker died before it began anything.
    """
    while any(key not in Journal(path).answers for key in keys):
        worker = subprocess.Popen(command)
        try:
            why = _end_of(worker, path, patience, until)
        finally:
            if worker.poll() is None:
                worker.kill()
                worker.wait()
        if why is None:
            return
        journal = Journal(path)
        if journal.open is None:
            raise RuntimeError(f"a worker {why} before it began anything: {' '.join(command)}")
        print(f"{' '.join(journal.open)}: the worker {why}; going on without it", flush=True)
        journal.bury(why)
        if time.time() > until:
            return


def _end_of(worker: "subprocess.Popen[bytes]", path: Path, patience: float, until: float) -> str | None:
    """How the worker failed; None: it did all there was to do, or all there was time for."""
    seen, size = time.monotonic(), -1
    while (code := worker.poll()) is None:
        now = path.stat().st_size if path.exists() else 0
        seen, size = (time.monotonic(), now) if now != size else (seen, size)
        allowed = patience if time.time() < until else patience / 2
        if time.monotonic() - seen > allowed:
            worker.kill()
            worker.wait()
            return f"said nothing for {allowed:.0f} s"
        time.sleep(POLL)
    return None if code == 0 else f"ended with exit code {code}"
