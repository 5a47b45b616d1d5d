"""Data workers that are lost again and again, and data that is changed meanwhile: a line and code 1, no traceback."""

from pathlib import Path

import pytest

from lambdanets.cli import main
from lambdanets.data.finding import DataError
from lambdanets.data.loader import LoaderError
from lambdanets.training import shares

LOST = LoaderError("no batch came from 4 workers in a row. Set loader.workers=0.")
CHANGED = DataError("instances_train.json was changed since it was read first: start again.")


@pytest.fixture
def failing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every wait for a batch ends with this error; its sentence."""

    def lost(*_: object, **__: object) -> None:
        raise request.param

    monkeypatch.setattr(shares, "load_batches", lost)
    return str(request.param)


def told(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on standard error."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == code
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("failing", [LOST, CHANGED], indirect=True, ids=["lost", "changed"])
def test_training_ends_with_a_line(failing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "digits", "--out", str(tmp_path / "run"), "--set", "epochs=0.1"]
    assert told(words, 1, capsys) == [f"lambdanets: {failing}"]


@pytest.mark.parametrize("failing", [LOST], indirect=True, ids=["lost"])
def test_judging_ends_with_a_line_and_says_whose_workers_they_are(
    failing: str, trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = told(["evaluate", str(trained_run)], 1, capsys)
    assert lines == [f"lambdanets: {failing}", f"Here the loader is as {trained_run / 'config.json'} says."]
