"""What a study writes: all digits in the CSV, words for every kind of number, pages that hold all they show."""

import csv
import re
from html.parser import HTMLParser
from io import BytesIO, StringIO

import pytest
from PIL import Image

from lambdanets.study.answers import Kept
from lambdanets.study.part import StudyOptions
from lambdanets.study.shown import Column, Figure, Shown, Table
from lambdanets.study.stamp import stamp_now
from lambdanets.study.tables import cell_text, csv_text, heading
from lambdanets.study.writing import Finished, command, write_part, write_study

VOID = {"meta", "img", "br", "link", "input", "hr", "col"}
TABLE = Table(
    name="tried-more",
    title="A < B & C",
    columns=(
        Column(name="layer", origin="label"),
        Column(name="memory", unit="GB", origin="paper", digits=1),
        Column(name="memory", unit="GB", origin="counted", digits=3),
        Column(name="peak", unit="MiB", origin="measured", digits=0),
        Column(name="blocks", origin="measured"),
    ),
    rows=(("<script>alert(1)</script>", 1.9, 1.888223232, None, 12345), ("λ, ×", "OOM", 0.1, "out of memory", 0)),
    notes=("A note with <b>.",),
)


def png() -> bytes:
    picture = BytesIO()
    Image.new("RGB", (40, 20), "white").save(picture, "PNG")
    return picture.getvalue()


class Tried:
    name = "tried"
    title = "Tried, and found"


class WellFormed(HTMLParser):
    """Raises where tags do not close in order; keeps what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def parsed(html: str) -> WellFormed:
    page = WellFormed()
    page.feed(html)
    page.close()
    assert page.open == []
    return page


@pytest.fixture
def finished(tmp_path):
    options = StudyOptions(folder=tmp_path / "a study")
    figure = Figure(name="tried", title="A figure", png=png(), caption='It "shows" > nothing.')
    shown = Shown(title=Tried.title, summary=["Asked.", "Came out."], tables=[TABLE], figures=[figure])
    kept = {"a": Kept(answer={}, seconds=61.0, stamp=stamp_now(options))}
    return Finished(part=Tried(), shown=shown, kept=kept), options  # type: ignore[arg-type]


def test_the_csv_has_every_digit_and_says_where_numbers_come_from():
    rows = list(csv.reader(StringIO(csv_text(TABLE))))
    assert rows[0] == [
        "layer", "memory [GB] (paper)", "memory [GB] (counted)", "peak [MiB] (measured here)", "blocks (measured here)",
    ]  # fmt: skip
    assert rows[1] == ["<script>alert(1)</script>", "1.9", "1.888223232", "", "12345"]
    assert rows[2] == ["λ, ×", "OOM", "0.1", "out of memory", "0"]


@pytest.mark.parametrize(
    ("cell", "digits", "text"),
    [
        (None, 2, "–"),
        ("OOM", 2, "OOM"),
        (12345, 2, "12,345"),
        (1234.567, 2, "1,234.57"),
        (0.5, 0, "0"),
        (2.0, 1, "2.0"),
    ],
)
def test_cells_for_readers(cell, digits, text):
    assert cell_text(cell, Column(name="x", origin="counted", digits=digits)) == text


def test_a_label_has_no_origin():
    assert heading(Column(name="layer", origin="label")) == "layer"


def test_files_of_a_part(finished):
    part, options = finished
    page = write_part(part, options)
    assert page == options.folder / "tried.html"
    assert {file.name for file in options.folder.iterdir()} == {"tried.html", "tried.png", "tried-more.csv"}
    assert (options.folder / "tried.png").read_bytes() == png()


@pytest.mark.parametrize("of_all", [False, True], ids=["part", "study"])
def test_a_page_is_well_formed_and_holds_all_it_shows(finished, of_all):
    part, options = finished
    path = write_study([part], options) if of_all else write_part(part, options)
    html = path.read_text(encoding="utf-8")
    page = parsed(html)
    addresses = [value for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href")]
    assert all(value is not None and value.startswith(("data:", "#")) for value in addresses)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "@import" not in html
    assert "url(" not in html
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert all(value is None or value.startswith("data:") or value[1:] in ids for value in addresses)


@pytest.mark.parametrize("of_all", [False, True], ids=["part", "study"])
def test_a_page_says_what_readers_need(finished, of_all):
    part, options = finished
    path = write_study([part], options) if of_all else write_part(part, options)
    page = parsed(path.read_text(encoding="utf-8"))
    text = re.sub(r"\s+", " ", page.text)
    stamp = part.kept["a"].stamp
    for words in (
        *(
            "Asked.",
            "Came out.",
            "A < B & C",
            "<script>alert(1)</script>",
            "1.888",
            "out of memory",
            "A note with <b>.",
        ),
        *("paper", "counted", "measured here", stamp.machine, stamp.torch, stamp.date[:10], stamp.commit or "unknown"),
        *("lambdanets study tried --out", "tried-more.csv", "in 61 s of work on 1 pieces"),
    ):
        assert words in text, words
    kinds = [attrs.get("class") for tag, attrs in page.tags if tag == "th" and attrs.get("scope") == "colgroup"]
    assert kinds == ["label", "paper", "counted", "measured"]
    alts = [attrs.get("alt") for tag, attrs in page.tags if tag == "img"]
    assert alts == ['It "shows" > nothing.']


def test_the_study_names_what_is_missing(finished):
    part, options = finished
    html = write_study([part], options, missing=[Tried()]).read_text(encoding="utf-8")  # type: ignore[list-item]
    assert "Tried, and found: not finished yet" in html


def test_the_command_can_be_typed(tmp_path):
    options = StudyOptions(folder=tmp_path / "my study", quick=True, device="cuda", run=tmp_path / "run")
    assert command("all", options) == (
        f"lambdanets study all --quick --device cuda --run {tmp_path}/run --out '{tmp_path}/my study'"
    )
