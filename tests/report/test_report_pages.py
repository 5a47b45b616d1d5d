"""report.html and the page of predictions: whole, self-contained, escaped, and shown by a real browser."""

import base64
import html
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from lambdanets.cli import main
from lambdanets.finished import load_run
from lambdanets.report.files import ReportFiles
from lambdanets.report.predictions_page import Answer, predictions_page
from lambdanets.report.report_page import report_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MAX_BYTES = 400_000
"""What any mail server takes without a word."""
WATCH = """
<script>
const failures = [];
addEventListener("error", event => failures.push(event.message || "a picture"), true);
addEventListener("load", () => {
  const pictures = [...document.images];
  parent.postMessage(JSON.stringify({
    pictures: pictures.length, blank: pictures.filter(picture => picture.naturalWidth === 0).length,
    failures, width: innerWidth, overflows: document.documentElement.scrollWidth > innerWidth,
  }), "*");
});
</script>
"""
FRAME = """<!doctype html><script>addEventListener("message", event => document.body.dataset.seen = event.data)</script>
<body><iframe src="watched.html" style="width:{width}px;height:900px;border:0"></iframe>"""
"""No window of Chromium is as narrow as a phone, but a frame in one can be."""


class Inventory(HTMLParser):
    """Tags, and every address that a page mentions."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)  # <line …/> of a drawing

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(trained_run: Path) -> str:
    return ReportFiles(trained_run).page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def predictions(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pictures")
    for shade, name in ((30, "dark <b>.png"), (200, "bright & wide.png")):
        Image.new("RGB", (300, 90), (shade, 10, 10)).save(folder / name)
    (folder / "letter.jpg").write_text("<script>alert(1)</script>")
    target = folder / "page.html"
    assert main(["predict", str(trained_run), str(folder), "--page", str(target)]) == 1
    return target.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["page", "predictions"])
def test_a_page_is_whole_and_needs_nobody(name: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(name)
    found = Inventory(text)
    assert found.open == []
    assert {"script", "link", "iframe", "object"}.isdisjoint(found.tags)
    assert all(address.startswith("data:image/") for address in found.addresses)
    assert "http:" not in text.replace("http-equiv", "")
    assert "https:" not in text
    assert "default-src 'none'" in text
    assert len(text.encode()) < MAX_BYTES


@pytest.mark.parametrize("name", ["page", "predictions"])
def test_every_picture_can_be_read(name: str, request: pytest.FixtureRequest) -> None:
    for address in Inventory(request.getfixturevalue(name)).addresses:
        content = base64.b64decode(address.partition(",")[2])
        assert min(Image.open(BytesIO(content)).size) > 0


def test_the_report_says_what_it_should(page: str, trained_run: Path) -> None:
    finished = load_run(trained_run)
    text = html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL))
    text = " ".join(text.split())
    result = finished.result
    assert f"{result['test_accuracy'] * 100:.1f} %" in text
    assert f"{result['test_correct']} of 510 test images" in text
    for part in (
        "95 % interval", "support vector machine", "nearest neighbour", "96.5 %", "without its position tables",
        "What it got wrong", "What it mixes up", "Content part", "Position part", "head 4", "How it learned",
        f"lambdanets train digits --out {trained_run} --set epochs=1",
        "torch", "optimizer.learning_rate", f"lambdanets predict {trained_run}",
    ):  # fmt: skip
        assert part in text, part


def test_the_pictures_of_a_run_are_there(trained_run: Path) -> None:
    files = ReportFiles(trained_run)
    for path in (files.confusion, files.mistakes, files.predictions):
        with Image.open(path) as picture:
            assert min(picture.size) > 80
    assert not list(trained_run.glob("*.tmp"))


def test_names_of_files_are_escaped(predictions: str) -> None:
    assert "dark &lt;b&gt;.png" in predictions
    assert "bright &amp; wide.png" in predictions
    assert "<b>.png" not in predictions


def test_a_page_of_errors_alone() -> None:
    text = predictions_page([Answer(path=Path("a.png"), error="a.png: there is no such file.")], "runs/x")
    assert "a.png: there is no such file." in text
    assert Inventory(text).open == []


def test_a_perfect_run_and_a_hopeless_one_have_reports_too(trained_run: Path) -> None:
    from dataclasses import replace

    import torch

    from lambdanets.report.findings import find_out

    finished = load_run(trained_run)
    findings = find_out(finished.task, finished.model)
    labels = findings.judgement.labels
    for shift, sentence in ((0, "Every image was read right."), (1, "The worst 24 of 510 mistakes")):
        sure = torch.nn.functional.one_hot((labels + shift) % 10, 10).float()
        changed = replace(findings, judgement=replace(findings.judgement, probabilities=sure), look=None, baselines=())
        text = report_page(
            changed, result=finished.result, records=[], command=None, environment={}, folder="runs/<odd>"
        )  # fmt: skip
        assert sentence in text
        assert "runs/&lt;odd&gt;" in text
        assert Inventory(text).open == []


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium, and the pages are looked at")
@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["page", "predictions"])
def test_a_browser_without_network_shows_every_picture(
    name: str, width: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    text = request.getfixturevalue(name)
    # The watching script is ours, so the page's rule against scripts is lifted for it; that against the net stays.
    watched = text.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    (tmp_path / "watched.html").write_text(watched.replace("</head>", WATCH + "</head>"), encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--enable-logging=stderr", "--v=0",
        "--window-size=1400,1000", "--virtual-time-budget=5000", "--dump-dom",
        f"file://{tmp_path / 'frame.html'}",
    ]  # fmt: skip
    home = {**os.environ, "HOME": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=home)
    seen = re.search(r'data-seen="([^"]*)"', ended.stdout)
    assert seen is not None, ended.stderr[-2000:]
    pictures = len(Inventory(text).addresses)
    truth = {"pictures": pictures, "blank": 0, "failures": [], "width": width, "overflows": False}
    assert json.loads(html.unescape(seen[1])) == truth
    assert pictures >= 4
    assert "CONSOLE" not in ended.stderr


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (4, 4), (30, 12)])
def test_a_picture_of_few_mistakes_is_not_mostly_empty(
    count: int, columns: int, trained_run: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    import torch

    from lambdanets.report.figures import draw_mistakes
    from lambdanets.report.findings import find_out

    finished = load_run(trained_run)
    findings = find_out(finished.task, finished.model)
    said = findings.judgement.labels.clone()
    said[:count] = (said[:count] + 1) % 10
    judgement = replace(findings.judgement, probabilities=torch.nn.functional.one_hot(said, 10).float())
    draw_mistakes(replace(findings, judgement=judgement), tmp_path / "mistakes.png")
    with Image.open(tmp_path / "mistakes.png") as picture:
        assert picture.width <= max(80 * columns, 360) + 1


def test_frames_have_the_colours_that_the_text_names(page: str) -> None:
    style = page[page.index("<style>") : page.index("</style>")]
    assert "framed in purple" in page
    assert "var(--purple)" in style[style.index(".map i {") :].partition("}")[0]
    assert "Framed in orange" in page
    frame = style[style.index(".pictures img {") :].partition("}")[0]
    assert "var(--line)" not in frame
