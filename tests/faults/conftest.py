"""The warm server that the tests of faults run their processes in, and what they train on."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambdanets.cli.trial import Ended


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


@pytest.fixture(scope="session")
def server() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.process.communicate()


@pytest.fixture(scope="session")
def digits_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits as picture files of 32 pixels a side, in class folders."""
    from lambdanets.cli import main

    path = tmp_path_factory.mktemp("data") / "digits"
    assert main(["data", "digits", str(path), "--size", "32"]) == 0
    return path


def fault(place: str, action: str, **when: Any) -> dict[str, Any]:
    """As the server wants it."""
    return {"place": place, "action": action, **when}


def fingerprint(ended: Ended) -> str:
    """What a run that was trained to its end came to."""
    assert ended.code == 0, ended.said
    return ended.said.split()[-1]
