"""The world around a run: its folder, whoever watches it, and the time it may take. Only the first process writes."""

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch

from lambdanets.training.checkpoint import load_newest
from lambdanets.training.config import Config
from lambdanets.training.distributed import Ranks
from lambdanets.training.folder import RunFolder, write_json
from lambdanets.training.journal import Journal, Record
from lambdanets.training.saver import Saver
from lambdanets.training.snapshot import NotFiniteError
from lambdanets.training.state import TrainingState
from lambdanets.training.tensorboard import EventLog
from lambdanets.whole_file import append_line


@dataclass(frozen=True, kw_only=True)
class Watcher:
    """Who looks on while a run goes on, and may end it."""

    show: Callable[[Record], None] = lambda record: None
    """Shown every record of the journal."""
    tell: Callable[[str], None] = lambda sentence: None
    """Told what a person should know."""
    stop: Callable[[], bool] = lambda: False
    """Whether someone asked to stop."""
    max_seconds: float | None = None
    """Seconds after which the run stops by itself."""


UNWATCHED = Watcher()
"""Nobody, without end."""


class RunHost:
    """What `fit` asks of the world, for a run in a folder; leaving its `with` block waits until all is written."""

    def __init__(self, *, folder: RunFolder, config: Config, ranks: Ranks, watcher: Watcher) -> None:
        self._folder, self._ranks, self._watcher = folder, ranks, watcher
        self._journal = Journal(folder.metrics)
        self._saver = Saver(folder.checkpoints, config.checkpoint, watcher.tell) if ranks.is_first else None
        self._events = EventLog(folder.events, watcher.tell) if config.log.tensorboard else None
        self._noted: set[str] = set()
        self._began = time.monotonic()  # a clock that nobody can set

    def __enter__(self) -> Self:
        """Nothing more."""
        return self

    def __exit__(self, *error: Any) -> None:
        """Wait until everything is written."""
        if self._events is not None:
            self._events.close()
        if self._saver is not None:
            self._saver.__exit__(*error)

    def record(self, entry: Record) -> None:
        """To the file first: what was shown was also kept."""
        if self._saver is not None:
            self._journal.append(entry)
            if self._events is not None:
                self._events.append(entry)
            self._watcher.show(entry)
            self._saver.check()

    def save(self, state: TrainingState, score: float | None) -> bool:
        """One more checkpoint, written while the run goes on. False: the state is not finite, and is not kept."""
        if self._saver is None:
            return True
        try:
            self._saver.save(state.step, state.capture(), score=score)
        except NotFiniteError as error:
            self.tell(str(error))
            return False
        return True

    def go_back(self, state: TrainingState) -> bool:
        """To the newest checkpoint that can be trusted, and to its line of the journal. False: there is none."""
        if self._saver is not None:
            self._saver.close()
        captured, _ = load_for_all(self._folder, self._ranks)
        if captured is not None:
            state.restore(captured)
        if self._saver is not None:
            self._journal.rewind(state.step if captured is not None else 0)
        return captured is not None

    def note_unreadable(self, notes: Sequence[str]) -> None:
        """A line of skipped.txt each, once, however often and by whichever process the picture is met."""
        for note in set(notes) - self._noted:
            path = self._folder.skipped
            if path.exists():
                self._noted.update(path.read_text(encoding="utf-8").splitlines())
            if note not in self._noted:
                append_line(path, note)
            self._noted.add(note)

    def take_fewer(self, micro_batch_size: int) -> None:
        """For this run, and for the processes that may continue it."""
        self.tell(f"Memory ran out: {micro_batch_size} samples at once from now on, as many a step as before.")
        write_json(self._folder.memory, {"micro_batch_size": micro_batch_size})

    def tell(self, sentence: str) -> None:
        """To whoever watches."""
        self._watcher.tell(sentence)

    def should_stop(self) -> bool:
        """Whether someone asked to stop, or the time is up."""
        limit = self._watcher.max_seconds
        return self._watcher.stop() or (limit is not None and time.monotonic() - self._began >= limit)


def load_for_all(folder: RunFolder, ranks: Ranks) -> tuple[dict[str, Any] | None, list[str]]:
    """(the state of the newest checkpoint that can be trusted, or None; why newer ones could not be), on every process.

    The first one reads, so that the others need not see its disk.
    """
    if ranks.count == 1:
        return load_newest(folder.checkpoints)

    def read() -> tuple[bytes, list[str]]:
        """As bytes, which are loaded without trust on the other side."""
        captured, notes = load_newest(folder.checkpoints)
        stream = io.BytesIO()
        torch.save(captured, stream)
        return stream.getvalue(), notes

    content, notes = ranks.from_first(read)
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True), notes


def remembered_micro_batch(folder: RunFolder) -> int | None:
    """How many samples fitted into memory at once when this run last ran out of it; None if it never did."""
    try:
        return max(1, int(json.loads(folder.memory.read_text(encoding="utf-8"))["micro_batch_size"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
