"""The records of a run as event files for TensorBoard, on request; metrics.jsonl is written with or without them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lambdanets.training.journal import Record

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FLUSH_SECONDS = 10
"""How old a record may be that a watcher does not see yet, or that a killed run takes with it."""


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """What is written of a run beside metrics.jsonl."""

    tensorboard: bool = False
    """Whether the folder of the run gets event files for TensorBoard; needs the extra [log]."""


def check_log(config: LogConfig) -> None:
    """Raise ValueError if what the config asks for is not installed."""
    if config.tensorboard and find_spec("tensorboard") is None:
        raise ValueError(
            "log.tensorboard: TensorBoard is not installed: pip install 'lambdanets[log]', or leave it out; "
            "metrics.jsonl has every number too."
        )


class EventLog:
    """Event files in a folder, begun with the first record; a resumed run hides what it is about to take again.

    They are for looking at, so a disk that cannot hold them ends them, never the run: `tell` hears of it.
    """

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self._path, self._tell = path, tell
        self._writer: SummaryWriter | None = None
        self._is_broken = False

    def append(self, record: Record) -> None:
        """Every number of a record that is one, as <event>/<name> at its step."""
        if self._is_broken:
            return
        step = int(record["step"] or 0)
        try:
            writer = self._writer = self._writer or self._begin(step)
            for name, value in record.items():
                if name != "step" and isinstance(value, int | float) and math.isfinite(value):
                    writer.add_scalar(f"{record['event']}/{name}", value, step)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is None or self._is_broken:
            return
        try:
            self._writer.close()
        except OSError as error:
            self._give_up(error)

    def _begin(self, step: int) -> "SummaryWriter":
        from torch.utils.tensorboard import SummaryWriter  # an extra, and slow to import

        return SummaryWriter(str(self._path), purge_step=step, flush_secs=FLUSH_SECONDS)

    def _give_up(self, error: OSError) -> None:
        self._is_broken = True
        self._tell(f"{self._path} gets no more events ({error.strerror or error}); metrics.jsonl goes on.")
