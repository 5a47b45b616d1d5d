"""`lambdanets study`: its parts by name, what it prints and where it writes, and mistakes in words."""

import csv
import signal
from pathlib import Path
from typing import get_args

import pytest

from lambdanets.cli import main
from lambdanets.cli.study import Word
from lambdanets.study import parts
from lambdanets.study.part import Piece
from lambdanets.study.shown import Column, Shown, Table


class Small:
    """A part of two pieces."""

    name, title = "memory", "Small: two pieces"

    def __init__(self) -> None:
        self.runs = 0

    def pieces(self, options):
        return [Piece(key=key, seconds=1, work=self.work) for key in ("a", "b")]

    def work(self):
        self.runs += 1
        return {"number": 0.12345}

    def shown(self, options, answers):
        columns = (Column(name="key", origin="label"), Column(name="number", origin="measured", unit="s"))
        rows = tuple((key, answer["number"]) for key, answer in answers.items())
        return Shown(
            title=self.title, summary=["Few."], tables=[Table(name="memory", title="T", columns=columns, rows=rows)]
        )


class Wrong(Small):
    """A part that the user has to help."""

    name, title = "speed", "Wrong"

    def work(self):
        raise ValueError("got nothing, wanted a run: give one with --run.")


@pytest.fixture
def small(monkeypatch):
    part = Small()
    monkeypatch.setattr("lambdanets.cli.study_choice.PARTS", (part,))
    return part


def test_the_words_are_the_parts():
    assert list(get_args(Word)) == ["all", *(part.name for part in parts.PARTS)]


def test_a_part_is_printed_written_and_not_run_twice(small, tmp_path, capsys):
    out = tmp_path / "study"
    for _ in range(2):
        assert main(["study", "memory", "--out", str(out)]) == 0
        said = capsys.readouterr().out
        assert "number [s] (measured here)" in said
        assert "0.12" in said
        assert said.endswith(f"wrote {out}/memory.html\n")
    assert small.runs == 2
    rows = list(csv.reader((out / "memory.csv").read_text().splitlines()))
    assert rows == [["key", "number [s] (measured here)"], ["a", "0.12345"], ["b", "0.12345"]]
    assert not (out / "study.html").exists()


def test_without_a_terminal_progress_is_plain_lines(small, tmp_path, capsys):
    assert main(["study", "all", "--quick", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "1/2  about " in said
    assert "left  memory: a\n" in said
    assert said.endswith(f"wrote {tmp_path}/study.html\n")
    assert "lambdanets study all --quick" in (tmp_path / "study.html").read_text(encoding="utf-8")


def test_answers_of_quick_are_told_and_found_out_again(small, tmp_path, capsys):
    main(["study", "memory", "--quick", "--out", str(tmp_path)])
    capsys.readouterr()
    main(["study", "memory", "--out", str(tmp_path)])
    assert "memory: 2 kept answers will be found out again (found out with --quick).\n" in capsys.readouterr().out
    assert small.runs == 4


def test_a_piece_that_the_user_can_mend_is_told_in_a_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("lambdanets.cli.study_choice.PARTS", (Small(), Wrong()))
    with pytest.raises(SystemExit) as ended:
        main(["study", "all", "--out", str(tmp_path)])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "lambdanets: speed, a: got nothing, wanted a run: give one with --run.\n"
    assert "Wrong: not finished yet" in (tmp_path / "study.html").read_text(encoding="utf-8")


def test_an_answer_of_another_shape_is_told_in_a_line(small, tmp_path, capsys):
    main(["study", "memory", "--out", str(tmp_path)])
    path = tmp_path / "answers" / "memory" / "a.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"number"', '"figure"'), encoding="utf-8")
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["study", "memory", "--out", str(tmp_path)])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "an answer there is not one of memory" in said
    assert "remove the folder" in said


def test_what_is_no_picture_is_refused_before_any_work(small, tmp_path, capsys):
    (tmp_path / "mine.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit) as ended:
        main(["study", "memory", "--out", str(tmp_path / "study"), "--image", str(tmp_path / "mine.png")])
    assert ended.value.code == 2
    assert "mine.png is not an image" in capsys.readouterr().err
    assert small.runs == 0


def test_who_stops_a_study_is_told_how_to_go_on(small, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(small, "work", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(SystemExit) as ended:
        main(["study", "memory", "--out", str(tmp_path)])
    assert ended.value.code == 130
    assert "Stopped. What is found out so far is kept in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["memmory"], "memmory"),
        ([], 'study" parameter --part requires'),
        (["memory", "--quick", "--full"], "got --quick and --full"),
        (["memory", "--device", "tpu"], "tpu"),
        (["memory", "--device", "cuda"], "PyTorch finds no GPU here"),
        (["memory", "--run", "nowhere"], "--run: got 'nowhere'"),
        (["interactions", "--image", "nowhere.png"], "--image: got 'nowhere.png'"),
        (["memory", "--out", __file__], "which is a file"),
        (["memory", "--out", f"{__file__}/below"], ""),
    ],
    ids=lambda value: " ".join(map(str, value))[-30:] if isinstance(value, list) else None,
)
def test_mistakes_are_told_in_a_line_and_nothing_is_written(small, words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    try:
        code = main(["study", *words])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith("lambdanets: ")
    assert said in error
    assert error.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []
    assert small.runs == 0
