"""Trials: a part of this program in a process of its own, forked from this one, that may be killed without harm."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LIMIT = 120.0
"""Seconds after which a trial is taken to be hanging, and killed."""
CRASHED = 99
"""Exit code of a trial that ended with a traceback."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a trial went."""

    code: int
    """Exit code; minus the signal's number where a signal ended it."""
    seconds: float
    said: str
    """What it printed, to both outputs."""


class Trial:
    """A process that does something; to be started where no thread but this one runs and torch has computed nothing."""

    def __init__(
        self, action: Callable[[], int | None], output: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        """Start it. What it prints goes to `output`; `variables` are added to its environment."""
        self._output, self._began = output, time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _live(action, output, variables or {})

    def is_over(self) -> bool:
        """Whether it has ended."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def send(self, name: str) -> None:
        """A signal, by its name such as SIGTERM; nothing if it has ended."""
        if not self.is_over():
            os.kill(self.pid, signal.Signals[name])

    def end(self, limit: float = LIMIT) -> Ended:
        """Wait for its end; one that takes longer than `limit` seconds is killed."""
        while not self.is_over():
            if time.monotonic() - self._began > limit:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.01)
        _, status = os.waitpid(self.pid, 0)
        said = self._output.read_text(encoding="utf-8", errors="replace") if self._output.exists() else ""
        return Ended(code=os.waitstatus_to_exitcode(status), seconds=time.monotonic() - self._began, said=said)


def _live(action: Callable[[], int | None], output: Path, variables: Mapping[str, str]) -> None:
    """The life of the process; never returns."""
    code: object = CRASHED
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        os.environ.update(variables)
        code = action() or 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
