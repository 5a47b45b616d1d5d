"""Objects drawn on pictures: in the right places, whatever the picture and whatever was found."""

import numpy as np
import pytest
import torch
from PIL import Image

from lambdanets.detection.drawing import LEAST_SIDE, class_colour, draw_objects

GREY = Image.new("RGB", (400, 300), (128, 128, 128))
NAMES = ("ape", "bee", "c" * 200)


def one_box(**others: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"boxes": torch.tensor([[100.0, 120.0, 200.0, 180.0]]), "labels": torch.tensor([1])} | others


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def test_a_box_is_drawn_where_it_is_and_nothing_else_is_changed() -> None:
    drawn = pixels(draw_objects(GREY, one_box(), NAMES))
    ours = (drawn == class_colour(1)).all(2)
    assert ours[120, 100:200].all()
    assert ours[179, 100:200].all()
    assert ours[120:180, 100].all()
    assert ours[120:180, 199].all()
    assert (drawn[125:175, 105:195] == 128).all()
    assert (drawn[:90] == 128).all()
    assert (drawn[181:] == 128).all()
    assert (pixels(GREY) == 128).all()


@pytest.mark.parametrize("form", ["probabilities", "target"])
def test_a_mask_lies_on_its_pixels(form: str) -> None:
    mask = torch.zeros(1, 300, 400)
    mask[0, 130:170, 110:190] = 1
    masks = (mask * 0.6)[:, None] if form == "probabilities" else mask.byte()
    drawn = pixels(draw_objects(GREY, one_box(masks=masks), NAMES))
    inside, colour = drawn[140:160, 120:180], np.array(class_colour(1))
    assert np.abs(inside - (128 + (colour - 128) * 0.45)).max() <= 1
    assert (drawn[130, 110:190] == colour).all()  # its edge
    assert (drawn[122:129, 105:195] == 128).all()


def test_what_is_not_sure_is_left_out() -> None:
    found = {
        "boxes": torch.tensor([[100.0, 120.0, 200.0, 180.0], [300.0, 200.0, 350.0, 250.0]]),
        "labels": torch.tensor([1, 2]),
        "scores": torch.tensor([0.4, 0.9]),
    }
    drawn = pixels(draw_objects(GREY, found, NAMES, least_score=0.5))
    assert (drawn[:150, :250] == 128).all()
    assert (drawn[200, 300:350] == class_colour(2)).all()


def test_names_and_scores_are_written() -> None:
    named = [pixels(draw_objects(GREY, one_box(labels=torch.tensor([k])), ("ape", "ape"))) for k in (1, 1)]
    assert (named[0] == named[1]).all()
    without, with_score = (draw_objects(GREY, one_box(**more), NAMES) for more in ({}, {"scores": torch.ones(1)}))
    widths = [(pixels(drawn)[90:119] == class_colour(1)).all(2).any(0).sum() for drawn in (without, with_score)]
    assert 20 < widths[0] < widths[1]
    crowd = draw_objects(GREY, one_box(iscrowd=torch.tensor([1])), NAMES)
    assert (pixels(crowd)[90:119] == class_colour(1)).all(2).any(0).sum() > widths[0]


def test_a_small_picture_is_enlarged() -> None:
    mask = torch.zeros(1, 1, 40, 60)
    mask[..., 10:20, 30:50] = 1
    found = {"boxes": torch.tensor([[30.0, 10.0, 50.0, 20.0]]), "labels": torch.tensor([2]), "masks": mask}
    drawn = draw_objects(Image.new("RGB", (60, 40), "white"), found, NAMES)
    assert drawn.size == (360, 240)
    assert (pixels(drawn)[60:120, 180] == class_colour(2)).all()
    assert (pixels(drawn)[70:110, 190:290] != 255).any(2).all()
    assert (pixels(drawn)[130:, :170] == 255).all()
    assert draw_objects(GREY, one_box(), NAMES).size == GREY.size
    assert max(drawn.size) >= LEAST_SIDE


@pytest.mark.parametrize(
    ("size", "mode"),
    [((1, 1), "RGBA"), ((4000, 1), "L"), ((1, 4000), "P"), ((330, 350), "RGB")],
    ids=str,
)
def test_any_picture_and_any_boxes(size: tuple[int, int], mode: str) -> None:
    found = {
        "boxes": torch.tensor([[-50.0, -50, 10, 10], [0, 0, 0, 0], [0, 0, *size], [5e3, 5e3, 6e3, 6e3]]),
        "labels": torch.tensor([1, 2, 3, 70]),
        "masks": torch.ones(4, 1, *size[::-1]),
        "scores": torch.tensor([0.9, 0.1, 1.0, 0.3]),
    }
    drawn = draw_objects(Image.new(mode, size), found, NAMES)
    assert drawn.mode == "RGB"
    nothing = {name: part[:0] for name, part in found.items()}
    assert draw_objects(Image.new(mode, size), nothing, NAMES).size == drawn.size


def test_classes_have_colours_of_their_own() -> None:
    colours = [class_colour(label) for label in range(1, 92)]
    assert len(set(colours)) == 91
    assert all(0 <= number <= 255 for colour in colours for number in colour)
