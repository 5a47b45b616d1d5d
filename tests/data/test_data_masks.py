"""Masks in COCO's forms: the same bits as pycocotools, and hostile ones are refused in a sentence."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as oracle

from lambdanets.data.masks import MaskError, decode_segmentation, encode_masks, rectangles

SIZES = ((1, 1), (1, 40), (40, 1), (7, 5), (64, 48), (300, 17))


def random_masks(seed: int, rows: int, columns: int) -> np.ndarray:
    noise = np.random.default_rng(seed)
    share = noise.choice([0.0, 0.02, 0.5, 0.98, 1.0], size=(5, 1, 1))
    return (noise.random((5, rows, columns)) < share).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_run_lengths_are_those_of_pycocotools_and_come_back(size: tuple[int, int]) -> None:
    masks = random_masks(3, *size)
    for mask, coded in zip(masks, encode_masks(masks), strict=True):
        theirs = oracle.encode(np.asfortranarray(mask))
        assert coded == {"size": list(size), "counts": theirs["counts"].decode()}
        assert np.array_equal(decode_segmentation(coded, *size), mask)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_rectangles_become_the_same_pixels_again(size: tuple[int, int]) -> None:
    for mask in random_masks(5, *size):
        if mask.any():
            assert np.array_equal(decode_segmentation(rectangles(mask), *size), mask)


def test_run_lengths_as_numbers() -> None:
    mask = decode_segmentation({"size": [3, 2], "counts": [1, 2, 2, 1]}, 3, 2)
    assert mask.tolist() == [[0, 0], [1, 0], [1, 1]]


POINTS = st.lists(st.floats(-30, 90).map(lambda number: round(number, 2)), min_size=6, max_size=16)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0.11 with numpy 2
@settings(max_examples=60, deadline=None)
@given(st.lists(POINTS.map(lambda points: points[: len(points) // 2 * 2]), min_size=1, max_size=3))
def test_polygons_become_the_pixels_of_pycocotools(polygons: list[list[float]]) -> None:
    theirs = oracle.decode(oracle.merge(oracle.frPyObjects(polygons, 40, 60)))
    assert np.array_equal(decode_segmentation(polygons, 40, 60), theirs)


BROKEN = {
    "two-points": ([[1, 2, 3, 4]], "polygon of 2 points"),
    "odd": ([[1, 2, 3, 4, 5, 6, 7]], "polygon of 7 numbers"),
    "nan": ([[1, 2, 3, 4, float("nan"), 6]], "not finite"),
    "endless": ([[1, 2, 3, 4, 10**400, 6]], "not finite"),
    "text": ([["1", 2, 3, 4, 5, 6]], "no list of numbers"),
    "flat": ([1, 2, 3, 4, 5, 6], "no list of numbers"),
    "far": ([[0, 0, 1e12, 0, 1e12, 1e12]], "far outside"),
    "empty": ([], "no outline"),
    "none": (None, "no outline"),
    "other-size": ({"size": [8, 9], "counts": "01400000"}, r"\[8, 9\]"),
    "too-few": ({"size": [4, 4], "counts": [3, 4]}, "of 7 pixels"),
    "negative": ({"size": [4, 4], "counts": [20, -4]}, "below 0"),
    "huge": ({"size": [4, 4], "counts": [2**80]}, "neither text nor whole numbers"),
    "no-counts": ({"size": [4, 4]}, "neither text nor whole numbers"),
    "cut-off": ({"size": [4, 4], "counts": "0140000o"}, "cut off"),
    "characters": ({"size": [4, 4], "counts": "01 4"}, "none of COCO's"),
    "letters": ({"size": [4, 4], "counts": "ä"}, "none of COCO's"),
    "long": ({"size": [4, 4], "counts": "o" * 30 + "0"}, "too large"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_mask_is_refused_in_words(name: str) -> None:
    segmentation, words = BROKEN[name]
    with pytest.raises(MaskError, match=words):
        decode_segmentation(segmentation, 4, 4)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12))
def test_any_text_is_a_mask_or_an_error(counts: str) -> None:
    with contextlib.suppress(MaskError):
        assert decode_segmentation({"size": [4, 5], "counts": counts}, 4, 5).shape == (4, 5)
