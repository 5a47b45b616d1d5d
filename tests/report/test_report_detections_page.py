"""The page of a detector: numbers, pictures beside the truth, no request to anybody, names that are no markup."""

import re
from dataclasses import replace

import pytest
import torch
from PIL import Image

from lambdanets.detection.evaluation import NUMBERS
from lambdanets.report.detections_page import Comparison, Judged, Pictured, compare, detections_page, points

BOX = [10.0, 10.0, 50.0, 40.0]
OTHER = [60.0, 20.0, 90.0, 70.0]
SCORES = {name: 0.5 + place / 100 for place, name in enumerate(NUMBERS)} | {"AP_large": -1.0}
JUDGED = Judged(
    run="runs/<first>",
    split="test",
    num_images=1200,
    scores={
        "box": SCORES | {"AP": 0.6234, "AP/ape": 0.7, "AP/<b>": -1.0},
        "mask": SCORES | {"AP/ape": 0.4, "AP/<b>": -1.0},
    },
    classes=("ape", "<b>"),
    facts=(("parameters", "811,204"),),
    notes=("a<b.jpg is empty: save or fetch it again.",),
)


def objects(*boxes: list[float], labels: list[int] | None = None, scores: list[float] | None = None):
    found = {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.tensor(labels or [1] * len(boxes)).long()}
    return found | ({"scores": torch.tensor(scores)} if scores is not None else {})


def pictured(size: tuple[int, int] = (100, 80)) -> Pictured:
    masks = torch.zeros(1, 1, size[1], size[0])
    masks[..., 10:40, 10:50] = 0.9
    found = objects(BOX, scores=[0.8]) | {"masks": masks}
    return Pictured(name="<i>.png", picture=Image.new("RGB", size, "grey"), found=found, truth=objects(BOX, OTHER))


def test_the_page_says_what_was_measured_and_shows_the_pictures() -> None:
    page = detections_page(JUDGED, [pictured(), pictured((1500, 900))])
    assert "62.3" in page
    assert "1,200 test pictures" in page
    assert "1 of 2 found" in page
    assert page.count("data:image/jpeg;base64,") == 4
    assert re.search(r"<td>AP large</td>.*?<td>–</td><td>–</td>", page)
    assert re.search(r"<td>ape</td>.*width:70.0%.*<td>70.0</td><td>40.0</td>", page)
    assert "811,204" in page
    assert page.count('width="384" height="230"') == 2
    assert "1 test picture;" in detections_page(replace(JUDGED, num_images=1), [])


def test_names_are_no_markup_and_nothing_is_fetched() -> None:
    page = detections_page(JUDGED, [pictured()])
    for words in ("<i>.png", "<b></td>", "<first>", "a<b.jpg"):
        assert words not in page
    assert "&lt;i&gt;.png" in page
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|<script|<link", page)


def test_a_page_without_pictures_or_classes() -> None:
    page = detections_page(replace(JUDGED, classes=(), notes=(), facts=()), [])
    assert "What it finds" not in page
    assert "Could not be read" not in page


@pytest.mark.parametrize(
    ("found", "truth", "wanted"),
    [
        (objects(BOX, scores=[0.9]), objects(BOX), Comparison(1, 0, 0)),
        (objects(BOX, scores=[0.4]), objects(BOX), Comparison(0, 1, 0)),
        (objects(BOX, BOX, scores=[0.9, 0.8]), objects(BOX), Comparison(1, 0, 1)),
        (objects(BOX, labels=[2], scores=[0.9]), objects(BOX), Comparison(0, 1, 1)),
        (objects(OTHER, BOX, scores=[0.6, 0.7]), objects(BOX, OTHER), Comparison(2, 0, 0)),
        (objects([10, 10, 29, 40], scores=[0.9]), objects(BOX), Comparison(0, 1, 1)),
        (objects(scores=[]), objects(BOX), Comparison(0, 1, 0)),
        (objects(BOX, scores=[0.9]), objects(), Comparison(0, 0, 1)),
        (objects(scores=[]), objects(), Comparison(0, 0, 0)),
        (objects(scores=[]), objects(BOX) | {"iscrowd": torch.tensor([1])}, Comparison(0, 0, 0)),
    ],
    ids=["right", "unsure", "twice", "class", "order", "half", "none", "extra", "empty", "crowd"],
)
def test_what_is_found_is_compared_with_what_is_there(found, truth, wanted: Comparison) -> None:
    assert compare(found, truth) == wanted


def test_comparisons_and_scores_in_words() -> None:
    assert str(Comparison(2, 1, 0)) == "2 of 3 found"
    assert str(Comparison(0, 0, 2)) == "nothing there, 2 wrong"
    assert (points(0.6234), points(-1.0), points(0.0)) == ("62.3", "–", "0.0")
