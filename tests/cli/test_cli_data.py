"""`lambdanets data`: what is said, the exit code, and what is left untouched."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lambdanets.cli import data_report, main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits as a tree; to be looked at, not changed."""
    path = tmp_path_factory.mktemp("data") / "digits"
    assert main(["data", "digits", str(path)]) == 0
    return path


def dirty(folder: Path, broken: int = 1) -> Path:
    for name in ("train/a/1.png", "train/b/2.png"):
        (folder / name).parent.mkdir(parents=True)
        Image.linear_gradient("L").rotate(len(name) + ord(name[-5])).save(folder / name)
    for number in range(broken):
        (folder / "train" / "a" / f"bad{number:02d}.png").write_bytes(b"no picture")
    return folder


def ended(*words: str) -> int:
    try:
        return main(["data", *words])
    except SystemExit as stopped:
        return int(stopped.code or 0)


def test_data_that_is_well(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(digits.rglob("*"))
    assert ended("check", str(digits), "--workers", "0") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    rows = [line.split() for line in shown.out.splitlines()]
    assert rows[3][:4] == ["train", "1,287", "0", "10"]
    assert rows[4][:4] == ["val", "510", "0", "10"]
    assert shown.out.endswith("Nothing has to be mended.\n")
    assert sorted(digits.rglob("*")) == before


def test_what_has_to_be_mended_is_named_and_the_code_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("check", str(dirty(tmp_path)), "--workers", "0") == 1
    out = capsys.readouterr().out
    assert "To mend:\n- train/a/bad00.png is not an image: wanted PNG" in out
    assert "or remove it." in out


def test_many_findings_are_counted_and_json_has_them_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dirty(tmp_path, broken=data_report.MOST_SHOWN + 3)
    assert ended("check", str(tmp_path), "--workers", "0") == 1
    out = capsys.readouterr().out
    assert out.count("- train/a/bad") == data_report.MOST_SHOWN
    assert "- and 3 more of this kind (broken); --json lists them" in out
    assert ended("check", str(tmp_path), "--workers", "0", "--json") == 1
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told["well"] is False
    assert told["form"] == "tree"
    broken = [finding for finding in told["findings"] if finding["kind"] == "broken"]
    assert told["splits"][0]["broken"] == len(broken) == data_report.MOST_SHOWN + 3
    assert {"kind", "where", "what", "fix", "note"} == set(told["findings"][0])


def test_one_split_alone_is_looked_at(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("check", str(digits), "--split", "validation", "--workers", "0", "--json") == 0
    assert [part["split"] for part in json.loads(capsys.readouterr().out)["splits"]] == ["val"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "nowhere"], "nowhere: there is no such file or folder"),
        (["check", "file"], "is a file, wanted a folder of CLASS/picture.jpg"),
        (["check", "digits", "--split", "test"], "has the splits train, val, wanted test too"),
        (["check", "digits", "--split", "tset"], "wanted one of train, val, test"),
        (["check", "digits", "--workers=-1"], "--workers: got -1, wanted 0 to 256"),
        (["check", "digits", "--workers", "two"], "got 'two', wanted a whole number"),
        (["chek", "digits"], 'Did you mean "check"?'),
        (["check"], "requires an argument"),
        (["digits", "digits"], "is not an empty folder"),
        (["digits", "new", "--form", "zip"], "zip"),
        (["digits", "new", "--size", "4"], "size: got 4, wanted 8 to 1024"),
        (["digits", "file/new"], "could not be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    words: list[str],
    message: str,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "digits").symlink_to(digits)
    assert ended(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1
    assert sorted(os.listdir(tmp_path)) == ["digits", "file"]


def test_odd_names_do_nothing_to_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = dirty(tmp_path / "\x1b[31mred")
    (folder / "train" / "a" / "two\nlines.png").write_bytes(b"no picture")
    assert ended("check", str(folder), "--workers", "0") == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "train/a/two\\nlines.png is not an image" in out


def test_the_command_itself_looks_with_several_processes(tmp_path: Path) -> None:
    dirty(tmp_path)
    command = [sys.executable, "-m", "lambdanets", "data", "check", str(tmp_path), "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "train/a/bad00.png is not an image" in done.stdout


def test_the_group_alone_shows_its_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended() == 0
    out = capsys.readouterr().out
    assert "check" in out
    assert "digits" in out


def test_what_the_page_on_data_shows_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = (ROOT / "docs" / "data.md").read_text(encoding="utf-8").splitlines()
    commands = [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]
    assert len(commands) == 4
    for program, group, *words in commands:
        assert (program, group) == ("lambdanets", "data")
        assert ended(*words) == 0
