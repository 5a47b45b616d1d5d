"""What a study shows while it works."""

import io
import re

import pytest
from rich.console import Console

from lambdanets.cli import study_progress
from lambdanets.cli.study_progress import StudyProgress
from lambdanets.study.part import Piece
from lambdanets.study.running import Plan

PIECES = [Piece(key=f"resnet50_local_attention-224-b{n}", seconds=30, work=dict) for n in range(3)]


class Part:
    name = "long-range"
    title = "Long"


def progress_of(pieces) -> StudyProgress:
    return StudyProgress([Plan(part=Part(), pieces=pieces, missing=pieces, again={})])  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_bar_says_how_far_how_long_and_what_at_every_width(width, monkeypatch):
    page = io.StringIO()
    console = Console(file=page, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    monkeypatch.setattr("rich.progress.get_console", lambda: console)
    progress = progress_of(PIECES)
    progress.start()
    progress.begin(Part(), PIECES[0])
    progress.end(Part(), PIECES[0])
    progress.begin(Part(), PIECES[1])
    progress.begin(Part(), PIECES[2])
    progress.pause()
    lines = [line for line in re.split(r"[\r\n]|\x1b\[\??\d+[A-Za-z]", page.getvalue()) if line.strip()]
    assert all(len(line) <= width for line in lines)
    last = [line for line in lines if "1/3" in line][-1]
    assert re.search(r"about \d+ (s|min) left", last)
    assert "━━" in last
    assert ("resnet50_local" in last) == (width >= 80)
    assert len([line for line in lines if "/3" not in line]) == 0  # one line, never folded


def test_nothing_is_drawn_where_nothing_is_to_be_done(monkeypatch):
    page = io.StringIO()
    monkeypatch.setattr("rich.progress.get_console", lambda: Console(file=page, force_terminal=True))
    progress = progress_of([])
    progress.start()
    progress.pause()
    assert page.getvalue() == ""


def test_plain_lines_are_few_unless_it_takes_long(monkeypatch, capsys):
    pieces = [Piece(key=str(n), seconds=1, work=dict) for n in range(100)]
    clock = [0.0]
    monkeypatch.setattr(study_progress.time, "monotonic", lambda: clock[0])
    progress = progress_of(pieces)
    progress.start()
    for place, piece in enumerate(pieces):
        progress.begin(Part(), piece)
        clock[0] += 61 if place == 1 else 0
        progress.end(Part(), piece)
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split("/")[0]) for line in lines] == [2, *range(5, 101, 5)]
    assert lines[-1] == "100/100  about 0 s left  long-range: 99"
