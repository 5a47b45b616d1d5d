"""Dirty data in COCO's form, really made: every fault is named with its file, its place and what to do."""

import json
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from coco_folders import COLUMNS, ROWS, Content, annotation, crowd, polygon, write_coco

from lambdanets.cli import main
from lambdanets.data import annotation_faults, annotations
from lambdanets.data.check import check_data
from lambdanets.data.coco import CocoConfig

FILE = "annotations/instances_train2017.json"
BOX = (5.0, 5.0, 20.0, 10.0)
Spoil = Callable[[Content], object]


def add(**changes: object) -> Spoil:
    """One more annotation, number 7, sound but for these changes; a value of None takes the name away."""

    def spoil(made: Content) -> None:
        whole = annotation(7, 16, 18, BOX) | changes
        made["annotations"].append({name: value for name, value in whole.items() if value is not None})

    return spoil


def picture(**changes: object) -> Spoil:
    """The second picture's entry changed."""
    return lambda made: made["images"][1].update(changes)


DIRT: dict[str, tuple[Spoil, str, str, str]] = {
    "zero-area": (add(bbox=[5, 5, 0, 10]), "zero-area", "annotation 7 (line 1", "draw it anew, or remove it"),
    "negative-area": (add(bbox=[5, 5, 4, -1]), "zero-area", "annotation 7 (line 1", "draw it anew"),
    "outside": (add(bbox=[64, 5, 9, 9]), "outside", "annotation 7 (line 1", "draw it anew"),
    "nan": (add(bbox=[5, float("nan"), 9, 9]), "not-finite", "annotation 7 (line 1", "draw it anew"),
    "infinite": (add(bbox=[5, 5, float("inf"), 9]), "not-finite", "annotation 7 (line 1", "draw it anew"),
    "nan-in-outline": (add(segmentation=[[1, 2, 3, float("nan"), 5, 6]]), "outline", "annotation 7", "draw it anew"),
    "nan-area": (add(area=float("nan")), "not-finite", "annotation 7", "draw it anew"),
    "no-box": (add(bbox=None), "annotation-entry", "annotation 7", "give it an image_id"),
    "odd-box": (add(bbox=[1, 2, 3]), "annotation-entry", "annotation 7", "give it an image_id"),
    "two-points": (add(segmentation=[[1, 1, 9, 9]]), "outline", "annotation 7", "draw it anew"),
    "no-outline": (add(segmentation=None), "outline", "annotation 7", "draw it anew"),
    "far-outline": (add(segmentation=[polygon(0, 0, 1e15, 1e15)]), "outline", "annotation 7", "draw it anew"),
    "broken-rle": (
        add(segmentation={"size": [ROWS, COLUMNS], "counts": "kX1"}, iscrowd=1),
        "outline",
        "annotation 7",
        "draw it anew",
    ),
    "rle-of-another-size": (
        add(segmentation={"size": [COLUMNS, ROWS], "counts": [COLUMNS * ROWS]}),
        "outline",
        "annotation 7",
        "draw it anew",
    ),
    "unknown-category": (add(category_id=5), "unknown-category", "annotation 7", "list the category"),
    "unknown-picture": (add(image_id=5), "unknown-picture", "annotation 7", "list the picture"),
    "same-id": (add(id=99_967), "same-id", "annotation 99967", "a number of its own"),
    "text-as-id": (add(id="seven"), "annotation-entry", "annotation (line 1", "give it an image_id"),
    "odd-crowd": (add(iscrowd=2), "annotation-entry", "annotation 7", "give it an image_id"),
    "no-annotation": (
        lambda made: made["annotations"].append(None),
        "annotation-entry",
        "annotation (line 1",
        "give it",
    ),
    "missing-picture": (picture(file_name="gone.jpg"), "missing-picture", "picture 16 (line 1", "put it there"),
    "picture-outside": (
        picture(file_name="../../etc/passwd"),
        "picture-name",
        "picture 16",
        "in the folder of its split",
    ),
    "picture-without-size": (picture(width="wide"), "picture-entry", "picture 16", "give it an id"),
    "huge-picture": (picture(width=10**12), "picture-entry", "picture 16", "give it an id"),
    "same-picture-id": (
        lambda made: made["images"].append(dict(made["images"][0])),
        "same-picture-id",
        "picture 9",
        "a number of its own",
    ),
    "same-picture": (
        lambda made: made["images"].append(dict(made["images"][0], id=5)),
        "same-picture",
        "picture 5",
        "list it once",
    ),
    "same-category": (
        lambda made: made["categories"].append({"id": 1, "name": "cat"}),
        "category-entry",
        "category 1",
        "of its own",
    ),
    "empty-class": (
        lambda made: made["categories"].append({"id": 3, "name": "cat"}),
        "empty-class",
        "category 3",
        "add some, or remove the class",
    ),
    "crowd-only": (
        lambda made: made.update(annotations=[crowd(number, number, 1) for number in (9, 16)]),
        "nothing-to-learn",
        "",
        "outline some objects one by one",
    ),
    "no-annotations": (lambda made: made.update(annotations=[]), "nothing-to-learn", "", "outline some objects"),
    "no-pictures": (lambda made: made.update(images=[], annotations=[]), "no-pictures", "", "list some"),
    "no-categories": (lambda made: made.update(categories=[], annotations=[]), "no-categories", "", "list some"),
    "too-many": (
        lambda made: made["annotations"].extend(annotation(200_000 + n, 16, 18, BOX) for n in range(1001)),
        "too-many",
        "picture 16",
        "data.max_objects",
    ),
}
"""What is done to the file, the kind of what must be found, the place it must name, and what to do."""


@pytest.mark.parametrize("name", DIRT)
def test_dirt_is_named_with_its_place_and_the_fix(name: str, tmp_path: Path) -> None:
    spoil, kind, place, fix = DIRT[name]
    report = check_data(write_coco(tmp_path / "c", spoil=spoil), "train")
    assert not report.well
    found = [finding for finding in report.findings if finding.kind == kind]
    assert len(found) == 1
    assert {finding.kind for finding in report.findings if not finding.note} <= {kind, "nothing-to-learn"}
    assert found[0].where.startswith(f"{FILE}: {place}" if place else FILE)
    assert fix in found[0].fix
    assert len(str(found[0]).splitlines()) == 1


def test_clean_data_is_well_and_counted(tmp_path: Path) -> None:
    report = check_data(write_coco(tmp_path / "c"))
    assert report.well
    assert report.form == "coco"
    assert [finding.kind for finding in report.findings] == ["no-objects"] * 2
    assert "has no objects in 1 picture of 6, the first is" in report.findings[0].what
    train, val = report.splits
    assert (train.images, train.broken, val.images) == (6, 0, 4)
    assert train.classes == {"person": 3, "dog": 4, "toothbrush": 3}
    assert (train.widths, train.heights) == ((64, 64.0, 64), (48, 48.0, 48))


def test_a_picture_of_crowds_only_is_worth_a_note(tmp_path: Path) -> None:
    report = check_data(write_coco(tmp_path / "c", spoil=lambda made: made["annotations"].append(crowd(1, 44, 1))))
    assert report.well
    (note,) = [finding for finding in report.findings if finding.kind == "crowd-only"]
    assert note.where == f"{FILE}: picture 44"


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[1, 2]", '{"images": [', '{"images": [], "annotations": 7}', '{"images": {}}', "\0" * 50],
)
def test_what_is_not_json_is_named_with_its_line(text: str, tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "c")
    (folder / FILE).write_text(text)
    report = check_data(folder)
    (finding,) = [finding for finding in report.findings if not finding.note and finding.where.startswith(FILE)]
    assert finding.kind == "not-json"
    assert finding.where == FILE
    assert "line" in finding.what
    for policy in ("drop", "refuse"):
        with pytest.raises(ValueError, match=r"instances_train2017\.json"):
            CocoConfig(path=str(folder), bad_annotations=policy).load()


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "c")
    made = json.loads((folder / FILE).read_text())
    made["annotations"][3]["bbox"] = [5, 5, 0, 0]
    (folder / FILE).write_text(json.dumps(made, indent=2))
    lines = (folder / FILE).read_text().splitlines()
    (finding,) = [finding for finding in check_data(folder).findings if not finding.note]
    line = int(finding.where.split("line ")[1].split(",")[0])
    assert any(f'"id": {made["annotations"][3]["id"]}' in text for text in lines[line - 1 : line + 30])
    assert lines[line - 1].strip() == "{"


def test_a_million_boxes_in_a_picture_are_one_finding(tmp_path: Path) -> None:
    """10 000 here; memory and time grow in proportion, and the picture is never given masks."""
    boxes = [annotation(200_000 + n, 16, 18, BOX) for n in range(10_000)]
    folder = write_coco(tmp_path / "c", spoil=lambda made: made["annotations"].extend(boxes))
    (finding,) = [finding for finding in check_data(folder).findings if not finding.note]
    assert "has 10,002 objects, wanted 1,000 at most" in finding.what
    data = CocoConfig(path=str(folder), max_bad=1).load()
    assert len(data.train) == 4
    assert len(CocoConfig(path=str(folder), max_objects=20_000).load().train) == 5


@pytest.mark.slow
def test_a_million_boxes_are_read_in_little_memory(tmp_path: Path) -> None:
    """250 MB of JSON; what is kept of an object while the file is read is 56 bytes, and some copies."""
    folder = write_coco(tmp_path / "c")
    text = (folder / FILE).read_text()
    box = json.dumps(annotation(0, 16, 18, BOX)).replace('"id": 0', '"id": ')
    boxes = ", ".join(box.replace('"id": ', f'"id": {200_000 + number}') for number in range(1_000_000))
    (folder / FILE).write_text(text.replace('"annotations": [', f'"annotations": [{boxes}, '))
    del boxes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (finding,) = [finding for finding in check_data(folder).findings if not finding.note]
    assert "has 1,000,002 objects" in finding.what
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000  # kB


def test_masks_that_would_fill_the_memory_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotations, "MOST_MASK_BYTES", 2 * ROWS * COLUMNS)
    folder = write_coco(tmp_path / "c")  # its first picture has three objects, the others two
    (finding,) = [finding for finding in check_data(folder, "train").findings if not finding.note]
    assert finding.where == f"{FILE}: picture 9"
    assert "has 3 objects, whose masks would take 9,216 bytes, wanted 6,144 at most" in finding.what


def test_bad_annotations_are_refused_or_left_out_and_counted(tmp_path: Path) -> None:
    def spoil(made: Content) -> None:
        for number, box in ((7, [5, 5, 0, 9]), (8, [99, 0, 5, 5]), (6, [5, 5, 0, 0])):
            made["annotations"].append(annotation(number, 16, 18, BOX) | {"bbox": box})

    folder = str(write_coco(tmp_path / "c", spoil=spoil))
    counted = r"3 of 20 pictures and objects are bad \(2 zero-area, 1 outside\)"
    with pytest.raises(ValueError, match=counted) as refused:
        CocoConfig(path=folder, bad_annotations="refuse").load()
    assert "annotation 7 (line 1" in str(refused.value)
    with pytest.raises(ValueError, match=counted + r", more than data.max_bad=0.1\."):
        CocoConfig(path=folder, max_bad=0.1).load()
    data = CocoConfig(path=folder, max_bad=0.2).load()
    (note,) = data.notes
    assert "and left out" in note
    assert "annotation 7" in note
    assert len(data.train.truth()["annotations"]) == 11
    clean = CocoConfig(path=str(write_coco(tmp_path / "clean"))).load()
    for one, other in zip(
        data.train.plain(np.array([1, 2])).targets, clean.train.plain(np.array([1, 2])).targets, strict=True
    ):
        assert one["boxes"].tolist() == other["boxes"].tolist()


def test_more_than_memory_is_meant_to_hold_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation_faults, "MOST_KEPT", 5)
    bad = [annotation(300_000 + n, 16, 18, BOX) | {"bbox": [0, 0, 0, 0]} for n in range(12)]
    report = check_data(write_coco(tmp_path / "c", spoil=lambda made: made["annotations"].extend(bad)))
    assert sum(finding.kind == "zero-area" for finding in report.findings) == 5
    assert report.left_out["zero-area"] == 7


@pytest.mark.parametrize("name", ["zero-area", "missing-picture", "broken-rle", "crowd-only", "empty-class"])
def test_the_command_ends_with_1_and_no_traceback(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_coco(tmp_path / "c", spoil=DIRT[name][0])
    assert main(["data", "check", str(folder), "--workers", "0"]) == 1
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert "pictures with objects, in COCO's form" in shown.out
    assert "objects a class" in shown.out
    assert FILE in shown.out
    assert main(["data", "check", str(folder), "--workers", "0", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert DIRT[name][1] in {finding["kind"] for finding in findings}
