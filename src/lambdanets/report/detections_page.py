"""The page of a detector: its average precision, and pictures with what it finds beside what is there.

Letters: n detections, t objects that are there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lambdanets.detection.drawing import draw_objects
from lambdanets.detection.evaluation import UNDEFINED
from lambdanets.printable import printable
from lambdanets.report.page import render, shorten
from lambdanets.report.picture import data_uri

SIDE = 384
"""Longer side, in pixels, of a picture on the page; smaller ones are enlarged to about that."""
LEAST_SCORE = 0.5
"""Detections that are less sure are not shown."""
ENOUGH = 0.5
"""Share of overlap from which a detection counts as one of the object, on this page."""
_ROWS = (
    ("AP", "AP", "the mean over overlaps of 50, 55, … 95 %"),
    ("AP50", "AP 50", "half of the overlap is enough"),
    ("AP75", "AP 75", "three quarters are needed"),
    ("AP_small", "AP small", "objects of less than 32² pixels"),
    ("AP_medium", "AP medium", "from 32² to 96² pixels"),
    ("AP_large", "AP large", "96² pixels and more"),
    ("AR100", "AR 100", "share of the objects that is found with 100 detections a picture"),
)
"""COCO's name, ours, what it means."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictured:
    """One picture to be shown."""

    name: str
    picture: Image.Image
    found: Mapping[str, Tensor]
    """What the detector answered, in torchvision's words: boxes, labels, scores, perhaps masks."""
    truth: Mapping[str, Tensor]
    """What is there: boxes, labels, perhaps masks and iscrowd."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was judged, and how well."""

    run: str
    """What the run is called."""
    split: str
    """validation or test."""
    num_images: int
    """Pictures that were judged."""
    scores: Mapping[str, Mapping[str, float]]
    """box and mask → COCO's numbers and AP/NAME of each class, as `coco_scores` gives them."""
    classes: Sequence[str]
    """Label k is the k-th, from 1."""
    facts: Sequence[tuple[str, str]] = ()
    """Name and value of what else is worth knowing, shown under the headline."""
    notes: Sequence[str] = ()
    """A sentence for each picture that could not be read."""


@dataclass(frozen=True)
class Comparison:
    """How what was found in a picture compares with what is there."""

    right: int
    """Objects found, and named right."""
    missed: int
    """Objects that were not."""
    wrong: int
    """Detections of nothing that is there, by another name, or for the second time."""

    def __str__(self) -> str:
        """In words."""
        total = self.right + self.missed
        words = [f"{self.right} of {total} found" if total else "nothing there"]
        words += [f"{self.wrong} wrong"] if self.wrong else []
        return ", ".join(words)


def detections_page(judged: Judged, pictured: Sequence[Pictured]) -> str:
    """The page as HTML, one file that holds its pictures."""
    box, mask = judged.scores["box"], judged.scores["mask"]
    return render(
        "detections.html",
        judged=judged,
        box_ap=points(box["AP"]),
        mask_ap=points(mask["AP"]),
        rows=[(name, what, points(box[key]), points(mask[key])) for key, name, what in _ROWS],
        classes=[_class_row(name, box, mask) for name in judged.classes],
        cards=[_card(one, judged.classes) for one in pictured],
        notes=[printable(note) for note in judged.notes],
        least_score=LEAST_SCORE,
    )


def compare(found: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Comparison:
    """Each detection, the surest first, is given the object of its class that it overlaps most, if that is enough."""
    from torchvision.ops import box_iou

    single = truth["iscrowd"] == 0 if "iscrowd" in truth else torch.ones(len(truth["labels"]), dtype=torch.bool)
    boxes, labels = truth["boxes"][single], truth["labels"][single]
    sure = found["scores"] >= LEAST_SCORE
    order = found["scores"][sure].argsort(descending=True, stable=True)
    overlaps = box_iou(found["boxes"][sure][order].float(), boxes.float())
    overlaps[found["labels"][sure][order][:, None] != labels[None]] = 0
    free, right = torch.ones(len(labels), dtype=torch.bool), 0
    for row in overlaps:
        best = int((row * free).argmax()) if len(row) else -1
        if best >= 0 and free[best] and row[best] >= ENOUGH:
            free[best], right = False, right + 1
    return Comparison(right, len(labels) - right, len(order) - right)


def points(share: float) -> str:
    """A score of 0…1 in points of 100, as the field tells it; – where there is nothing to be found."""
    return "–" if share == UNDEFINED else f"{100 * share:.1f}"


def _class_row(name: str, box: Mapping[str, float], mask: Mapping[str, float]) -> dict[str, Any]:
    key = f"AP/{name}"
    return {
        "name": printable(shorten(name, 40)),
        "box": points(box[key]),
        "mask": points(mask[key]),
        "width": 100 * max(0.0, box[key]),
    }


def _card(one: Pictured, classes: Sequence[str]) -> dict[str, Any]:
    comparison = compare(one.found, one.truth)
    scale = min(1.0, SIDE / max(one.picture.size))
    size = max(1, round(one.picture.width * scale)), max(1, round(one.picture.height * scale))
    picture = one.picture if scale == 1 else one.picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    drawn = [
        draw_objects(
            picture, _scaled(objects, one.picture.size, size), classes, least_score=LEAST_SCORE, least_side=SIDE
        )
        for objects in (one.found, one.truth)
    ]
    return {
        "name": printable(shorten(one.name, 60)),
        "size": drawn[0].size,
        "found": data_uri(drawn[0], "JPEG"),
        "truth": data_uri(drawn[1], "JPEG"),
        "words": str(comparison),
        "is_right": not comparison.missed and not comparison.wrong,
    }


def _scaled(objects: Mapping[str, Tensor], old: tuple[int, int], new: tuple[int, int]) -> dict[str, Tensor]:
    """The objects of a picture whose width and height are changed."""
    scaled = dict(objects)
    if old == new:
        return scaled
    scaled["boxes"] = objects["boxes"] * torch.tensor([new[0] / old[0], new[1] / old[1]]).repeat(2)
    if "masks" in objects and len(objects["masks"]):
        masks = objects["masks"].float()
        flat = masks[:, None] if masks.ndim == 3 else masks
        scaled["masks"] = F.interpolate(flat, size=new[::-1], mode="nearest-exact")
    return scaled
