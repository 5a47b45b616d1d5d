import io
import re

import pytest
from rich.console import Console

from lambdanets.cli import pictures, progress
from lambdanets.cli.pictures import pictures_counted
from lambdanets.cli.progress import TrainingProgress
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.run import Run, prepare_run


@pytest.fixture(scope="module")
def short_run() -> Run:
    return prepare_run(find_recipe("digits"))


def record(step: int) -> dict[str, float | int | str | None]:
    return {"event": "step", "step": step, "loss": 1.5, "accuracy": 0.25, "seconds": 2.0}


@pytest.mark.parametrize("width", [40, 80, 120])
def test_bar_and_time_left_are_shown_at_every_width(
    width: int, short_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = io.StringIO()
    console = Console(file=page, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    monkeypatch.setattr("rich.progress.get_console", lambda: console)
    with TrainingProgress(short_run) as shown:
        for step in (1, 2, 3, 400):
            shown.show(record(step))
    lines = re.split(r"[\r\n]|\x1b\[\??\d+[A-Za-z]", page.getvalue())
    last = [line for line in lines if "400/503" in line][-1]
    assert "━━━━" in last
    assert "1.500" in last
    assert ("images/s" in last) == (width >= 80)
    assert "…" not in last
    assert ":" in last.split("1.500", 1)[1]  # the time, if only as --:--
    assert len(last) <= width


def test_plain_lines_say_how_much_time_is_left(short_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress(short_run) as shown:
        shown.show(record(503 // progress.PLAIN_LINES))
    assert capsys.readouterr().out.startswith("step 25/503  loss 1.500  accuracy 25.0%  32 images/s  0:15:56 left")


def test_pictures_are_counted_in_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.0, 10.0, 40.0, 41.0])
    monkeypatch.setattr(pictures, "monotonic", lambda: next(clock))
    with pictures_counted() as show:
        for done in (100, 110, 140, 141):
            show("train", done, 200)
    assert capsys.readouterr().err == "train: 140 of 200 pictures, about 60 s left\n"


def test_pictures_are_counted_by_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    page = io.StringIO()
    page.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", page)
    with pictures_counted() as show:
        show("train", 3, 200)
        show("test", 4, 100)
    assert "train" in page.getvalue()
    assert "4/100" in page.getvalue()
