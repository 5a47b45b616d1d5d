"""What the tests of faults share: a warm server that their runs are made in, and pictures to train on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import FaultServer


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
