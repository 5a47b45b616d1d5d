"""COCO's scores: equal to pycocotools, defined where there is nothing to judge, and quiet."""

import contextlib
import copy
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lambdanets.data.digit_scenes import SceneConfig
from lambdanets.data.masks import encode_masks, rectangles
from lambdanets.detection.evaluation import NUMBERS, coco_scores, to_coco_results

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools 2.0.11
ROWS, COLUMNS = 180, 240
KINDS = ("bbox", "segm")


def box_mask(box: list[float]) -> np.ndarray:
    """Pixels of a box, a corner cut off, so that mask and box differ."""
    left, top, width, height = (int(number) for number in box)
    mask = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    mask[top : top + height, left : left + width] = 1
    mask[top : top + height // 2, left : left + width // 2] = 0
    return mask


def random_box(noise: np.random.Generator) -> list[float]:
    left, top = noise.integers(0, COLUMNS - 20), noise.integers(0, ROWS - 20)
    width, height = noise.integers(3, COLUMNS - left), noise.integers(3, ROWS - top)
    return [float(number) for number in (left, top, width, height)]


def random_truth(noise: np.random.Generator, pictures: int, objects: int, crowds: float) -> dict[str, Any]:
    """With a class that is nowhere (5), pictures that show nothing, masks of all three forms, and ids in disorder."""
    annotations = []
    for number in range(objects):
        box = random_box(noise)
        mask = box_mask(box)
        crowd = int(noise.random() < crowds)
        coded: Any = encode_masks(mask[None])[0]
        if crowd:
            edges = np.flatnonzero(np.diff(mask.T.ravel()))
            coded = {"size": [ROWS, COLUMNS], "counts": np.diff([0, *(edges + 1), ROWS * COLUMNS]).tolist()}
            if mask[0, 0]:
                coded["counts"] = [0, *coded["counts"]]
        elif noise.random() < 0.5:
            coded = rectangles(mask)
        annotations.append(
            {
                "id": 1000 - number,
                "image_id": int(noise.integers(1, max(2, pictures))),
                "category_id": int(noise.choice([2, 3, 7])),
                "bbox": box,
                "area": float(mask.sum()),
                "iscrowd": crowd,
                "segmentation": coded,
            }
        )
    return {
        "images": [{"id": place + 1, "width": COLUMNS, "height": ROWS} for place in range(pictures)],
        "annotations": annotations,
        "categories": [{"id": number, "name": f"class {number}"} for number in (7, 2, 5, 3)],
    }


def random_detections(noise: np.random.Generator, truth: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Near an object or anywhere, of few different scores, so that many are tied."""
    found = []
    for _ in range(count):
        one = noise.choice(truth["annotations"]) if truth["annotations"] and noise.random() < 0.7 else None
        box = random_box(noise)
        if one is not None:
            left, top, width, height = one["bbox"]
            shift = noise.integers(-3, 4, 2)
            left, top = (float(max(0, number)) for number in (left + shift[0], top + shift[1]))
            box = [left, top, min(width, COLUMNS - left), min(height, ROWS - top)]
        found.append(
            {
                "image_id": one["image_id"] if one is not None else int(noise.integers(1, len(truth["images"]) + 1)),
                "category_id": one["category_id"] if one is not None else int(noise.choice([2, 3, 5, 7])),
                "bbox": box,
                "score": float(noise.integers(0, 12)) / 12,
                "segmentation": encode_masks(box_mask(box)[None])[0],
            }
        )
    return found


def theirs(truth: dict[str, Any], detections: list[dict[str, Any]], kind: str) -> list[float]:
    part = {"bbox": "bbox", "segm": "segmentation"}[kind]
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = copy.deepcopy(truth)
        known.createIndex()
        kept = [{name: one[name] for name in ("image_id", "category_id", "score", part)} for one in detections]
        judge = COCOeval(known, known.loadRes(copy.deepcopy(kept)), kind)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_500_detections_with_ties_crowds_and_all_forms_of_masks(kind: str) -> None:
    noise = np.random.default_rng(11)
    truth = random_truth(noise, 30, 160, crowds=0.15)
    assert {type(one["segmentation"]) for one in truth["annotations"]} == {list, dict}
    detections = random_detections(noise, truth, 500)
    scores = coco_scores(truth, detections, kind)
    assert 0.05 < scores["AP"] < 0.95
    assert min(scores[name] for name in NUMBERS) > -1
    np.testing.assert_allclose([scores[name] for name in NUMBERS], theirs(truth, detections, kind), rtol=0, atol=1e-12)


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 6), st.integers(0, 12), st.integers(1, 30), st.sampled_from((0.0, 0.3, 1.0))
)
def test_any_few_detections(seed: int, pictures: int, objects: int, count: int, crowds: float) -> None:
    noise = np.random.default_rng(seed)
    truth = random_truth(noise, pictures, objects, crowds)
    detections = random_detections(noise, truth, count)
    for kind in KINDS:
        scores = coco_scores(truth, detections, kind)
        np.testing.assert_allclose(
            [scores[name] for name in NUMBERS], theirs(truth, detections, kind), rtol=0, atol=1e-12
        )


@pytest.mark.slow
def test_100_cases_of_detections() -> None:
    for seed in range(100):
        noise = np.random.default_rng(seed)
        truth = random_truth(noise, 12, int(noise.integers(0, 80)), float(noise.choice([0, 0.1, 0.5])))
        detections = random_detections(noise, truth, int(noise.integers(1, 300)))
        for kind in KINDS:
            ours = coco_scores(truth, detections, kind)
            wanted = theirs(truth, detections, kind)
            np.testing.assert_allclose([ours[name] for name in NUMBERS], wanted, rtol=0, atol=1e-12)


def test_scores_of_classes_are_those_of_their_own_pictures() -> None:
    noise = np.random.default_rng(2)
    truth = random_truth(noise, 6, 30, crowds=0.1)
    detections = random_detections(noise, truth, 60)
    scores = coco_scores(truth, detections, "segm")
    assert list(scores) == [*NUMBERS, "AP/class 2", "AP/class 3", "AP/class 5", "AP/class 7"]
    for number in (2, 3, 7):
        one = truth | {
            "annotations": [part for part in truth["annotations"] if part["category_id"] == number],
            "categories": [part for part in truth["categories"] if part["id"] == number],
        }
        own = [part for part in detections if part["category_id"] == number]
        assert scores[f"AP/class {number}"] == pytest.approx(theirs(one, own, "segm")[0], abs=1e-12)
    assert scores["AP/class 5"] == -1


@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_itself_is_perfect_and_nothing_at_all_is_nought(kind: str) -> None:
    truth = SceneConfig(num_train=1, num_test=12).load().test.truth()
    perfect = [dict(one, score=0.5) for one in truth["annotations"]]
    scores = coco_scores(truth, perfect, kind)
    found = {one["category_id"] for one in truth["annotations"]}
    assert scores["AP"] == scores["AP75"] == pytest.approx(1)
    assert scores["AP_large"] == scores["AR_large"] == -1  # no digit is that large
    assert all(scores[f"AP/{n}"] == (pytest.approx(1) if n + 1 in found else -1) for n in range(10))
    none = coco_scores(truth, [], kind)
    assert (none["AP"], none["AR100"], none["AP_large"]) == (0, 0, -1)


@pytest.mark.parametrize("kind", KINDS)
def test_without_truth_no_number_is_defined(kind: str) -> None:
    noise = np.random.default_rng(4)
    truth = random_truth(noise, 3, 0, 0)
    for detections in ([], random_detections(noise, truth, 20)):
        assert set(coco_scores(truth, detections, kind).values()) == {-1}
    only_crowds = random_truth(noise, 3, 8, crowds=1.0)
    assert coco_scores(only_crowds, random_detections(noise, only_crowds, 20), kind)["AP"] == -1
    assert set(coco_scores({"images": [], "annotations": [], "categories": []}, [], kind).values()) == {-1}


def test_nothing_is_printed_and_nothing_changed(capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(5)
    truth = random_truth(noise, 4, 20, 0.1)
    detections = random_detections(noise, truth, 20)
    before = json.dumps([truth, detections])
    for kind in KINDS:
        coco_scores(truth, detections, kind)
    assert json.dumps([truth, detections]) == before
    assert capfd.readouterr() == ("", "")


def test_an_object_of_id_0_counts_like_any_other() -> None:
    truth = random_truth(np.random.default_rng(6), 2, 1, 0)
    truth["annotations"][0]["id"] = 0
    assert coco_scores(truth, [dict(truth["annotations"][0], score=1.0)], "bbox")["AP"] == pytest.approx(1)


def test_scores_that_are_no_numbers_do_not_count() -> None:
    truth = random_truth(np.random.default_rng(6), 2, 1, 0)
    one = dict(truth["annotations"][0], score=0.5)
    assert coco_scores(truth, [dict(one, score=float("nan")), one], "bbox")["AP"] == pytest.approx(1)
    assert coco_scores(truth, [dict(one, score=float("nan"))], "bbox")["AP"] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_id": 99}, "picture 99, which is not among the 2"),
        ({"category_id": 99}, "category 99, which is not among the 4"),
    ],
)
def test_detections_of_something_else_are_refused(change: dict[str, int], words: str) -> None:
    truth = random_truth(np.random.default_rng(6), 2, 1, 0)
    with pytest.raises(ValueError, match=words):
        coco_scores(truth, [dict(truth["annotations"][0], score=1.0) | change], "bbox")


def test_what_is_to_be_judged_must_be_there() -> None:
    truth = random_truth(np.random.default_rng(6), 2, 1, 0)
    one = {"image_id": 1, "category_id": 2, "score": 1.0, "bbox": [0, 0, 2, 2]}
    with pytest.raises(ValueError, match="has no 'segmentation'"):
        coco_scores(truth, [one], "segm")
    with pytest.raises(ValueError, match="wanted 'bbox' or 'segm'"):
        coco_scores(truth, [one], "boxes")  # type: ignore[arg-type]


def test_outputs_become_results_in_the_words_of_coco() -> None:
    masks = torch.zeros(2, 1, 4, 6)
    masks[0, 0, 1:3, 2:5] = 0.5
    masks[1, 0, :, :] = 0.49
    output = {
        "boxes": torch.tensor([[2.0, 1.0, 5.0, 3.0], [0.0, 0.0, 6.0, 4.0]], requires_grad=True),
        "labels": torch.tensor([2, 1]),
        "scores": torch.tensor([0.5, 0.25]),
        "masks": masks,
    }
    nothing = {name: part[:0] for name, part in output.items()}
    targets = [{"image_id": torch.tensor(41)}, {"image_id": torch.tensor(42)}]
    first, second = to_coco_results([output, nothing], targets, category_ids=(10, 30))
    assert (first["image_id"], first["category_id"], first["bbox"], first["score"]) == (41, 30, [2, 1, 3, 2], 0.5)
    assert second["category_id"] == 10
    assert json.loads(json.dumps(first)) == first
    assert [one["segmentation"]["size"] for one in (first, second)] == [[4, 6], [4, 6]]
    assert area_of(first) == 6
    assert area_of(second) == 0


def area_of(result: dict[str, Any]) -> int:
    from pycocotools import mask

    return int(mask.area(result["segmentation"]))


def test_a_detector_of_boxes_gives_results_without_masks() -> None:
    output = {"boxes": torch.zeros(1, 4), "labels": torch.tensor([1]), "scores": torch.tensor([1.0])}
    (only,) = to_coco_results([output], [{"image_id": torch.tensor(1)}], category_ids=(1,))
    assert "segmentation" not in only
