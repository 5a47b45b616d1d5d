"""The report of a run on pictures from a disk: in colour, with class names, without plain methods; of many classes."""

import base64
import html
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from lambdanets.data.stored import StoredConfig
from lambdanets.report.figures import draw_confusion, draw_mistakes
from lambdanets.report.files import ReportFiles
from lambdanets.report.findings import Findings, find_out
from lambdanets.report.picture import as_picture
from lambdanets.report.report_page import report_page
from lambdanets.report.write import write_report
from lambdanets.training.classification import ClassificationConfig, ClassificationTask
from lambdanets.training.config import Config
from lambdanets.training.folder import RunFolder
from lambdanets.training.journal import read_journal
from lambdanets.training.run import begin_run, finish_run, prepare_run, read_result, train_run

COLOURS = {"brick <red>": (200, 60, 40), "grass green": (60, 170, 60), "a very long name of a sky": (70, 120, 220)}


def paint(folder: Path, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.clip(rng.normal(colour, 60, (150, 170, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


class Reported(NamedTuple):
    folder: RunFolder
    findings: Findings
    page: str


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """A run of a few steps on three colours, one picture unreadable, and its report."""
    data = tmp_path_factory.mktemp("colours")
    paint(data / "train", 12, 0)
    paint(data / "val", 6, 1)
    (data / "val" / "grass green" / "0.png").write_bytes(b"no picture")
    config = Config(
        recipe="digits",
        model="lambda_tiny",
        data=StoredConfig(path=str(data), image_size=128),
        task=ClassificationConfig(),
        batch_size=12,
        epochs=2,
        judge_every_epochs=1,
        num_threads=1,
    )
    run = prepare_run(config)
    folder = begin_run(run, tmp_path_factory.mktemp("runs") / "colours")
    assert train_run(run, folder)
    finish_run(run, folder)
    assert isinstance(run.task, ClassificationTask)
    findings = write_report(run.task, run.state.average.model, folder)
    return Reported(folder, findings, ReportFiles(folder.path).page.read_text(encoding="utf-8"))


def words_of(page: str) -> str:
    text = html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL))
    return " ".join(text.split())


def page_of(findings: Findings, folder: RunFolder) -> str:
    result = read_result(folder)
    assert result is not None
    records = read_journal(folder.metrics)
    return report_page(findings, result=result, records=records, command=None, environment={}, folder="runs/x")


def test_classes_have_their_names_and_digits_are_not_spoken_of(reported: Reported) -> None:
    text = words_of(reported.page)
    for name in COLOURS:
        assert name in text
    assert "brick &lt;red&gt;" in reported.page
    for word in ("18 validation images named right", "Nothing was trained beside it", "How it learned", "dotted"):
        assert word in text, word
    for word in ("hands", "digits a convolution", "plain method", "slanted"):
        assert word not in text.partition("Do it again")[0], word
    assert reported.findings.baselines == ()


def test_what_cannot_be_read_is_wrong_and_named(reported: Reported) -> None:
    text = words_of(reported.page)
    assert "unreadable , is grass green" in text
    assert "unreadable, counted as wrong 1" in text
    assert "0.png" in text
    assert reported.findings.judgement.correct == reported.findings.own.correct <= 17


def test_pictures_are_in_colour_and_light(reported: Reported) -> None:
    pictures = [
        Image.open(BytesIO(base64.b64decode(content)))
        for content in re.findall(r'src="data:image/jpeg;base64,([^"]*)"', reported.page)
    ]
    assert len(pictures) >= 18
    assert all(picture.mode == "RGB" and max(picture.size) == 112 for picture in pictures)
    assert any(np.ptp(np.asarray(picture).mean((0, 1))) > 40 for picture in pictures)
    assert len(reported.page) < 700_000


def test_a_grey_picture_of_no_digit_is_not_turned_into_ink() -> None:
    image = torch.tensor([[[0.0, 1.0]]])
    assert np.asarray(as_picture(image, is_ink=False)).tolist() == [[0, 255]]
    assert np.asarray(as_picture(image, is_ink=True)).tolist() == [[255, 0]]


def test_a_thousand_classes_make_lists_not_a_table(reported: Reported, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(1000, (18,), generator=generator)
    scores = torch.rand(18, 1000, generator=generator)
    scores[range(18), labels] += 0.5 * (torch.arange(18) > 3)
    many = replace(reported.findings.judgement, probabilities=scores / scores.sum(1, keepdim=True), labels=labels)
    findings = Thousand(**{**vars(reported.findings), "judgement": many})
    page = page_of(findings, reported.folder)
    text = words_of(page)
    assert "Of 1000 classes" in text
    assert "least often right" in text
    assert 'class="confusion' not in page
    wrong = many.mistakes[0]
    assert f"class number {int(many.labels[wrong])}" in text
    assert len(page) < 700_000
    draw_confusion(findings, tmp_path / "confusion.png")
    draw_mistakes(findings, tmp_path / "mistakes.png")
    with Image.open(tmp_path / "confusion.png") as picture:
        assert min(picture.size) > 300


class Thousand(Findings):
    """Findings of a network of many classes."""

    @property
    def class_names(self) -> list[str]:
        return [f"class number {number}" for number in range(1000)]


def test_a_network_without_lambda_layers_has_a_report_too(reported: Reported) -> None:
    task = reported.findings.task
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 128 * 128, 3)).eval()
    findings = find_out(task, model)
    assert findings.zeroed is None
    assert findings.look is None
    text = words_of(page_of(findings, reported.folder))
    assert "without its position tables" not in text
    assert "Every setting" in text
