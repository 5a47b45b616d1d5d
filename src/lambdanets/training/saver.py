"""Saving while training goes on: a copy of the state is written by a thread, and a save that fails is tried again."""

import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from threading import Thread
from types import TracebackType
from typing import Any, NamedTuple, Self

from lambdanets.training.checkpoint import (
    RUN,
    CheckpointConfig,
    best_checkpoint,
    is_sound,
    list_checkpoints,
    open_checkpoints,
    remove_drafts,
    run_of,
    save_checkpoint,
)
from lambdanets.training.manifest import write_manifest
from lambdanets.training.snapshot import check_finite_state, snapshot
from lambdanets.whole_file import NotWrittenError, check_writable

TRIES = 3
"""Saves in a row that may fail."""
GONE = (errno.ENOENT, errno.ENOTDIR)
"""What a save fails with when its folder is no longer there: no later one could do better."""


class SaveFailedError(NotWrittenError):
    """The run can no longer be saved; what was saved before is intact."""

    def __init__(self, cause: NotWrittenError, why: str) -> None:
        super().__init__(Path(str(cause.filename)), cause)
        self.room = cause.room
        self.why = why

    def __str__(self) -> str:
        """The sentences."""
        return f"{super().__str__()} {self.why}"


class _Save(NamedTuple):
    step: int
    state: dict[str, Any]
    score: float | None


class Saver:
    """Keeps the checkpoints of a run: the newest `config.keep` and the best. Used from one thread.

    A save that fails is told to `tell` in a sentence, and training goes on: the next save tries again. As a context
    manager it is closed at the end; there an error that is on its way is not replaced by one of saving.
    """

    def __init__(self, folder: Path, config: CheckpointConfig, tell: Callable[[str], None]) -> None:
        """Make `folder` ready: `RunFolder.checkpoints`. What a crash left there is removed.

        Raises:
            NotWrittenError: nothing can be written there.
        """
        self._folder, self._config, self._tell = folder, config, tell
        self._run = open_checkpoints(folder)
        remove_drafts(folder)
        check_writable(folder / RUN)
        best = best_checkpoint(folder)
        if best is not None and not is_sound(best[0]):
            tell(f"{best[0]}, the best so far, has rotted: another one will be the best.")
            rmtree(best[0], ignore_errors=True)
        self._failures = 0
        self._latest: _Save | None = None
        self._error: BaseException | None = None
        self._thread: Thread | None = None

    def save(self, step: int, state: dict[str, Any], *, score: float | None = None) -> None:
        """Keep a copy of the state, once the last save has ended; `score` is higher for better states.

        Raises:
            NotFiniteError: the state holds NaN or infinity: it is not written, nor called best.
            TypeError: it holds something that a checkpoint could not give back.
            SaveFailedError: the third save in a row has failed, or the folder is gone.
        """
        self._wait()
        if run_of(self._folder) != self._run:
            self._reclaim()
        self._latest = None  # of a save that failed: its memory is needed now
        copied = snapshot(state)
        check_finite_state(copied)
        self._latest = _Save(step, copied, score)
        if self._config.asynchronous:
            self._thread = Thread(target=self._write, name="save")
            self._thread.start()
        else:
            self._write()
            self._look_at_outcome()

    def check(self) -> None:
        """Tell how the last save went, if it has ended since; costs nothing, so that each step can do it.

        Raises:
            SaveFailedError: as `save`.
        """
        if self._thread is not None and not self._thread.is_alive():
            self._wait()

    def close(self) -> None:
        """Wait until everything is on the disk; a last save that failed is tried again at once.

        Raises:
            SaveFailedError: as `save`; the last state could not be saved.
        """
        self._wait()
        while self._latest is not None:
            self._write()
            self._look_at_outcome()

    def __enter__(self) -> Self:
        """The saver itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Close; an error that is on its way goes on."""
        if error is None:
            self.close()
            return
        with suppress(Exception):
            self._wait()

    def _write(self) -> None:
        """One try. What it comes to is left for the thread that uses the saver."""
        assert self._latest is not None
        step, state, score = self._latest
        try:
            save_checkpoint(self._folder, step, state, self._config.keep, score=score, run=self._run)
            self._latest = None
        except MemoryError as error:
            self._error = NotWrittenError(self._folder, OSError(errno.ENOMEM, "no memory left"))
            self._error.__cause__ = error
        except OSError as error:
            self._error = error if isinstance(error, NotWrittenError) else NotWrittenError(self._folder, error)
        except BaseException as error:
            self._error = error

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._look_at_outcome()

    def _look_at_outcome(self) -> None:
        error, self._error = self._error, None
        if error is None:
            self._failures = 0
        elif isinstance(error, NotWrittenError):
            self._failures += 1
            self._tell_failure(error)
        else:
            raise error

    def _tell_failure(self, error: NotWrittenError) -> None:
        if error.errno in GONE:
            raise self._failed(error, "The run's folder was removed or moved while it trained.")
        if self._failures >= TRIES:
            raise self._failed(error, f"{TRIES} saves in a row have failed; {self._last_good()}.")
        self._tell(f"{error} Training goes on, the next save tries again ({self._failures} of {TRIES} failed).")

    def _failed(self, error: NotWrittenError, why: str) -> SaveFailedError:
        self._latest = None  # closing shall not try it again
        failed = SaveFailedError(error, why)
        failed.__cause__ = error
        return failed

    def _last_good(self) -> str:
        kept = list_checkpoints(self._folder)
        return f"the last one that is whole is {kept[0].name}" if kept else "none was saved before"

    def _reclaim(self) -> None:
        """Mend what names the run; SaveFailedError if the folder is gone, or another's by now."""
        other = run_of(self._folder)
        if other is None and (self._folder / RUN).exists():  # rotted
            write_manifest(self._folder / RUN, {"run": self._run}, {})
            return
        gone = NotWrittenError(self._folder, OSError(errno.ENOENT, "it is not the folder that the run began in"))
        raise self._failed(gone, "It was removed or replaced while the run trained.")
