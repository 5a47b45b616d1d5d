"""Names that would do something to a terminal, or cannot be written at all, are shown as harmless text; counts."""

import os
from pathlib import Path

import pytest

from lambdanets.printable import counted, printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two-on-paper.jpg", "two-on-paper.jpg"),
        ("λ – größe 日本 🙂.png", "λ – größe 日本 🙂.png"),
        ("two\nlines\r\t.png", r"two\nlines\r\t.png"),
        ("\x1b[31mred\x9b0m\x7f", r"\x1b[31mred\x9b0m\x7f"),
        ("gpj\u202e.exe\u2028", r"gpj\u202e.exe\u2028"),
        (os.fsdecode(b"bad\xff\xfe.jpg"), r"bad\xff\xfe.jpg"),
        ("half\ud800", r"half\ud800"),
        (Path("a/b\n"), r"a/b\n"),
    ],
    ids=ascii,
)
def test_a_name_is_shown_as_one_harmless_line(name: object, shown: str) -> None:
    assert printable(name) == shown
    assert printable(name).encode().decode() == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 images"), (1, "1 image"), (1200, "1,200 images")])
def test_a_thing_is_counted_in_one_or_many(count: int, shown: str) -> None:
    assert counted(count, "image") == shown
