"""What can be wrong with what COCO's annotation files say of pictures and objects: one entry at a time, by itself.

Letters: y rows and x columns of pixels.
"""

from collections import Counter
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from lambdanets.data.finding import Finding
from lambdanets.data.json_lists import Entry
from lambdanets.data.masks import MaskError, all_finite, checked_polygons, run_lengths

MOST_KEPT = 20_000
"""Findings of a kind that are kept; the rest is counted."""
MOST_SIDE = 2**20
"""A picture of more rows or columns is none."""
FIXES = {
    "not-json": "write it again; COCO's form is {'images': […], 'annotations': […], 'categories': […]}",
    "no-pictures": "list some",
    "no-categories": "list some, each with an id and a name",
    "nothing-to-learn": "outline some objects one by one",
    "picture-entry": "give it an id, a file_name, a width and a height",
    "picture-name": "give the name of a file in the folder of its split",
    "missing-picture": "put it there, or take it off the list",
    "same-picture-id": "give each picture a number of its own",
    "same-picture": "list it once",
    "category-entry": "give it an id of its own, from 0, and a name",
    "annotation-entry": "give it an image_id, a category_id, a bbox and a segmentation",
    "unknown-picture": "list the picture, or remove it",
    "unknown-category": "list the category, or remove it",
    "same-id": "give each annotation a number of its own",
    "not-finite": "draw it anew, or remove it",
    "zero-area": "draw it anew, or remove it",
    "outside": "draw it anew, or remove it",
    "outline": "draw it anew, or remove it",
    "too-many": "cut the picture into parts, make it smaller, or allow more objects with data.max_objects",
    "crowd-only": "nothing is learned from it; outline some objects one by one if it should be",
    "empty-class": "add some, or remove the class",
    "other-size": "correct its entry, or put the right picture there",
    "no-objects": "see whether they show nothing that should be found",
}
"""What to do, by kind of fault."""
_NOTES = ("crowd-only", "no-objects")


class Fault(NamedTuple):
    """What is wrong with an entry."""

    kind: str
    """A key of `FIXES`."""
    what: str
    """To be read behind what it belongs to."""


class Faults:
    """What was found in a file: every kind counted, the first of each kept as findings."""

    def __init__(self, name: str) -> None:
        self.name = name
        """Of the file, in the data set."""
        self.counts: Counter[str] = Counter()
        self.findings: list[Finding] = []

    @property
    def left_out(self) -> Counter[str]:
        """How many of each kind are counted only."""
        return Counter({kind: count - MOST_KEPT for kind, count in self.counts.items() if count > MOST_KEPT})

    def add(self, fault: Fault, part: str = "", *, broad: bool = False, note: bool = False) -> None:
        """Count a fault of a part of the file; of all of it by default."""
        self.counts[fault.kind] += 1
        if self.counts[fault.kind] <= MOST_KEPT:
            where = f"{self.name}: {part}" if part else self.name
            note = note or fault.kind in _NOTES
            fix = FIXES[fault.kind]
            self.findings.append(
                Finding(kind=fault.kind, where=where, what=fault.what, fix=fix, note=note, broad=broad)
            )


def place_of(entry: Entry, word: str) -> str:
    """Where an entry is, for people: what it is, its id and its line."""
    own = entry.value.get("id") if isinstance(entry.value, dict) else None
    return described(word, own if is_whole(own) else None, entry.line, entry.begin)


def described(word: str, number: int | None, line: int, begin: int) -> str:
    """The same of numbers that were kept; files of one line are common, so the byte is told too."""
    return f"{word}{'' if number is None else f' {number}'} (line {line:,}, byte {begin:,})"


def judge_picture(picture: Any) -> Fault | None:
    """What is wrong with an entry of the list images, by itself."""
    if not isinstance(picture, dict):
        return Fault("picture-entry", "is no object with names and values")
    lacking = [name for name in ("id", "width", "height") if not is_whole(picture.get(name))]
    if lacking or not isinstance(picture.get("file_name"), str) or not picture["file_name"]:
        named = ", ".join(lacking) or "file_name"
        return Fault("picture-entry", f"has no usable {named}")
    if not (0 < picture["width"] <= MOST_SIDE and 0 < picture["height"] <= MOST_SIDE):
        return Fault("picture-entry", f"claims {picture['width']} × {picture['height']} pixels")
    path = PurePosixPath(picture["file_name"])
    if path.is_absolute() or ".." in path.parts or "\0" in picture["file_name"]:
        return Fault("picture-name", f"leads out of its folder with the file_name {picture['file_name']!a}")
    return None


def judge_category(category: Any) -> Fault | None:
    """What is wrong with an entry of the list categories, by itself."""
    if not isinstance(category, dict) or not is_whole(category.get("id")) or category["id"] < 0:
        return Fault("category-entry", "has no usable id")
    if not isinstance(category.get("name"), str) or not category["name"]:
        return Fault("category-entry", "has no name")
    return None


def judge_annotation(annotation: Any, size: tuple[int, int] | None) -> Fault | None:
    """What is wrong with an entry of the list annotations; `size`: its picture's rows and columns, or none known."""
    if not isinstance(annotation, dict):
        return Fault("annotation-entry", "is no object with names and values")
    for name in ("image_id", "category_id"):
        if not is_whole(annotation.get(name)):
            return Fault("annotation-entry", f"has no usable {name}")
    if "id" in annotation and not is_whole(annotation["id"]):
        return Fault("annotation-entry", "has an id that is no whole number")
    if annotation.get("iscrowd", 0) not in (0, 1):
        return Fault("annotation-entry", "has an iscrowd that is neither 0 nor 1")
    if size is None:
        return Fault("unknown-picture", f"is of picture {annotation['image_id']}, which is not listed")
    area = annotation.get("area", 0)
    if type(area) not in (int, float) or not all_finite((area,)) or area < 0:
        return Fault("not-finite", f"has the area {area!a}, which is no size")
    return judge_box(annotation.get("bbox"), *size) or _judge_outline(annotation.get("segmentation"), *size)


def judge_box(box: Any, rows: int, columns: int) -> Fault | None:
    """What is wrong with a box [x, y, width, height]; a part of it may be outside of the picture."""
    if not isinstance(box, list) or len(box) != 4 or not all(type(number) in (int, float) for number in box):
        return Fault("annotation-entry", "has no bbox of four numbers")
    if not all_finite(box):
        return Fault("not-finite", f"has the box {box}, not all of it numbers")
    left, top, width, height = box
    if width <= 0 or height <= 0:
        return Fault("zero-area", f"has the box {box}, which has no area")
    if left >= columns or top >= rows or left + width <= 0 or top + height <= 0:
        return Fault("outside", f"has the box {box}, all outside of its picture of {columns} × {rows}")
    return None


def is_whole(number: Any) -> bool:
    """Whether it is a whole number that fits where such are kept."""
    return type(number) is int and abs(number) < 2**62


def _judge_outline(segmentation: Any, rows: int, columns: int) -> Fault | None:
    try:
        if isinstance(segmentation, dict):
            run_lengths(segmentation, rows, columns)
        else:
            checked_polygons(segmentation, rows, columns)
    except MaskError as error:
        return Fault("outline", str(error))
    return None
