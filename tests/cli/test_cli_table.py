"""Tables: whole rows where programs read, the names whole for as long as a terminal has room for them."""

import os
import pty
import re
import subprocess
import sys

import pytest

from lambdanets.cli.table import print_rows

NAME = "examples/pictures/" + "a-long-name-" * 12 + ".png"
ROWS = [(NAME, "8 96.7%", "9 0.6%", "3 0.5%"), ("short.png", "no ink found")]
PROGRAM = (
    "from lambdanets.cli.table import print_rows;print_rows(['image', '1.', '2.', '3.'], {rows}, give_way=['3.', '2.'])"
)


def on_terminal(rows: object, columns: int) -> list[str]:
    """The lines that a terminal of so many columns is given."""
    reader, writer = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    program = PROGRAM.format(rows=repr(rows))
    subprocess.run([sys.executable, "-c", program], stdout=writer, env=environment, timeout=60, check=True)
    os.close(writer)
    text = os.read(reader, 2**16).decode()
    os.close(reader)
    return [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()]


@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_row_for_programs_is_one_line(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_rows(["image", "1.", "2.", "3."], ROWS, give_way=["3.", "2."])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["image", "1.", "2.", "3."],
        [NAME, "8", "96.7%", "9", "0.6%", "3", "0.5%"],
        ["short.png", "no", "ink", "found"],
    ]


def test_a_wide_terminal_shows_everything() -> None:
    assert len(on_terminal(ROWS, 250)) == 3


def test_a_narrow_terminal_leaves_out_columns_before_it_folds_a_name() -> None:
    rows = [("two-on-paper.jpg", "8 96.7%", "9 0.6%", "3 0.5%")]
    assert on_terminal(rows, 40)[1:] == ["two-on-paper.jpg  8 96.7%  9 0.6%", "(no room on this terminal for 3.)"]
    assert on_terminal(rows, 28)[1:][0] == "two-on-paper.jpg  8 96.7%"


def test_a_name_longer_than_the_terminal_is_folded_beside_its_answer() -> None:
    lines = on_terminal(ROWS, 40)
    assert lines[1].endswith("8 96.7%")
    assert max(map(len, lines)) <= 40
    folded = "".join(line.split()[0] for line in lines[1:] if not line.startswith(("short", "(")))
    assert NAME in folded
