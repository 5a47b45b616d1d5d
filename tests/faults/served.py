"""The client of fault_server.py, and what tests say to it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lambdanets.cli.forked import Ended
from lambdanets.training.checkpoint import load_newest
from lambdanets.training.folder import RunFolder
from lambdanets.training.journal import read_journal


class FaultServer:
    """See fault_server.py."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("fault_server.py"))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._answer() == "ready"

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def obey_all(self, do: str, give: dict[str, Any], **order: Any) -> list[Ended]:
        """How each rank ended."""
        assert self.process.stdin is not None
        print(json.dumps({"do": do, "give": give, **order}), file=self.process.stdin, flush=True)
        return [Ended(**fields) for fields in self._answer()]

    def train(self, path: Path, settings: list[str], *, data: Path | None = None, **order: Any) -> Ended:
        """Begin or resume a run in one process."""
        give = {"path": str(path), "settings": settings, "data": data and str(data)}
        (ended,) = self.obey_all("train", give, **order)
        return ended

    def command(self, *words: str, **order: Any) -> Ended:
        """A command line."""
        (ended,) = self.obey_all("command", {"words": [str(word) for word in words]}, **order)
        return ended


def fault(place: str, action: str, **when: Any) -> dict[str, Any]:
    """As the server wants it."""
    return {"place": place, "action": action, **when}


def fingerprint(ended: Ended) -> str:
    """What a run that was trained to its end came to."""
    assert ended.code == 0, ended.said
    return ended.said.split()[-1]


def steps_kept(path: Path) -> tuple[int, int]:
    """(steps that a run has taken, steps that its newest checkpoint holds); 0 before the first."""
    folder = RunFolder(path)
    newest, _ = load_newest(folder.checkpoints)
    taken = [int(record["step"] or 0) for record in read_journal(folder.metrics) if record["event"] == "step"]
    return max(taken, default=0), newest["step"] if newest else 0
