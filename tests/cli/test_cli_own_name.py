import sys
from pathlib import Path

import pytest

from lambdanets.cli.own_name import own_name
from lambdanets.cli.summary import describe_next, resume_command
from lambdanets.training.folder import RunFolder


@pytest.mark.parametrize(
    ("found", "started", "name"),
    [
        ("/bin/lambdanets", ".venv/bin/lambdanets", "lambdanets"),
        (None, ".venv/bin/lambdanets", ".venv/bin/lambdanets"),
        (None, "/with space/lambdanets", "'/with space/lambdanets'"),
        (None, "/site/lambdanets/__main__.py", f"{sys.executable} -m lambdanets"),
        (None, "/usr/bin/pytest", "lambdanets"),
    ],
    ids=["on the path", "from its folder", "with a space", "as a module", "from a program"],
)
def test_what_is_printed_works_when_typed(
    found: str | None, started: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: found)
    monkeypatch.setattr(sys, "argv", [started, "train"])
    assert own_name() == name
    folder = RunFolder(Path("runs/demo"))
    assert resume_command("digits", folder) == f"{name} train digits --out runs/demo --resume"
    assert f"\n{name} predict runs/demo IMAGE…" in describe_next(folder)
