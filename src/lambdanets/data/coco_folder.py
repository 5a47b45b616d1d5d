"""A folder in COCO's standard form: annotations/instances_SPLIT.json, and the pictures of each split in a folder.

    PATH/annotations/instances_train2017.json   PATH/train2017/*.jpg, or PATH/images/train2017/*.jpg
    PATH/annotations/instances_val2017.json     PATH/val2017/*.jpg

The year may be another one, or be left out.
"""

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.annotation_faults import Fault, Faults
from lambdanets.data.annotations import Annotations, read_annotations
from lambdanets.data.finding import DataError, Finding
from lambdanets.data.labels import UNKNOWN
from lambdanets.data.splits import in_order, split_meant, visible
from lambdanets.data.tree import read_file
from lambdanets.printable import counted

NAME = "coco"
MAX_OBJECTS = 1000
"""A picture with more is left out by default: their masks would fill the memory. COCO's fullest has 93."""
_FILE = re.compile(r"instances_([A-Za-z]+)\d*\.json")


@dataclass(frozen=True)
class Part:
    """Where a split is."""

    file: Path
    """Its annotations."""
    pictures: Path
    """The folder of its pictures."""


@dataclass(eq=False)
class CocoSource:
    """The pictures of one split that are there, by number, and what is in them."""

    root: Path
    part: Part
    annotations: Annotations
    faults: Faults
    classes: tuple[str, ...] = ()
    """Of whole pictures, which have none; those of the objects are among the annotations."""
    labels: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        """No picture as a whole has a label."""
        self.labels = np.full(len(self), UNKNOWN, dtype=np.int64)

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to worker processes, which need not know what was wrong."""
        return vars(self) | {"faults": Faults(self.faults.name)}

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.annotations)

    def name(self, index: int) -> str:
        """The path of a picture in the data set."""
        return f"{self.part.pictures.relative_to(self.root).as_posix()}/{self.annotations.names[index]}"

    def read(self, index: int) -> bytes:
        """What is in the file of a picture; OSError or ImageError if it is gone or no file."""
        return read_file(self.part.pictures / self.annotations.names[index], self.name(index))

    def size_fault(self, index: int, width: int, height: int) -> Fault | None:
        """What is wrong with a picture, upright, that is not of the size for which its objects were drawn."""
        rows, columns = self.annotations.sizes[index].tolist()
        if (height, width) == (rows, columns):
            return None
        what = f"has {width} × {height} pixels, but its objects were drawn for {columns} × {rows}"
        return Fault("other-size", what)

    def objects_of_classes(self) -> dict[str, int]:
        """How many objects each class has, crowds not counted."""
        annotations = self.annotations
        counts = np.bincount(annotations.labels[~annotations.crowd], minlength=len(annotations.classes) + 1)[1:]
        return dict(zip(annotations.classes, counts.tolist(), strict=True))


def is_coco(path: Path) -> bool:
    """Whether there are annotation files where COCO has them."""
    return (path / "annotations").is_dir() and bool(parts(path))


def splits(path: Path) -> tuple[str, ...]:
    """The splits that there are annotation files of."""
    return in_order(parts(path))


def parts(path: Path) -> dict[str, Part]:
    """Where each split is; DataError where two files mean the same one."""
    found: dict[str, Part] = {}
    for file in visible(path / "annotations"):
        named = _FILE.fullmatch(file.name)
        split = split_meant(named[1]) if named else None
        if split is None:
            continue
        if split in found:
            raise DataError(
                f"{path / 'annotations'} holds {found[split].file.name} and {file.name}, which both mean {split}: "
                "keep one."
            )
        found[split] = Part(file, _picture_folder(path, file.stem.removeprefix("instances_")))
    return found


def examine(path: Path, split: str, max_objects: int = MAX_OBJECTS) -> tuple[CocoSource, list[Finding]]:
    """What can be used of a split, and all that is wrong with its annotations.

    Raises:
        DataError: its annotation file or its folder of pictures cannot be read.
    """
    part = parts(path)[split]
    is_there = _presence(part.pictures)
    annotations, faults = read_annotations(part.file, part.file.relative_to(path).as_posix(), is_there, max_objects)
    _judge_whole(annotations, faults, is_training=split == "train")
    return CocoSource(path, part, annotations, faults), faults.findings


def _picture_folder(path: Path, name: str) -> Path:
    """PATH/train2017, or what else people call it; the first name where none is there."""
    candidates = [path / name, path / "images" / name, path / name.rstrip("0123456789"), path / "images"]
    return next((folder for folder in candidates if folder.is_dir()), candidates[0])


def _presence(folder: Path) -> Callable[[str], bool]:
    """Whether a file of a name is in the folder, which is listed only once."""
    try:
        there = {entry.name for entry in os.scandir(folder)}
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}): put the pictures of the split there.") from None
    return lambda name: (folder / name).is_file() if "/" in name else name in there


def _judge_whole(annotations: Annotations, faults: Faults, *, is_training: bool) -> None:
    """What is wrong with all entries together, each of which is sound."""
    if faults.counts["not-json"]:
        return
    if not len(annotations):
        faults.add(Fault("no-pictures", "lists no usable picture"), broad=True)
        return
    if not annotations.classes:
        faults.add(Fault("no-categories", "lists no usable category"), broad=True)
    single, every = annotations.object_counts(crowds=False), annotations.object_counts(crowds=True)
    for place in np.flatnonzero((single == 0) & (every > 0)).tolist():
        what = f"({annotations.names[place]!a}) has crowds only"
        faults.add(Fault("crowd-only", what), f"picture {annotations.picture_ids[place]}")
    empty = np.flatnonzero(every == 0).tolist()
    if len(empty):
        what = f"has no objects in {counted(len(empty), 'picture')} of {len(annotations):,}, the first is "
        faults.add(Fault("no-objects", what + f"{annotations.names[empty[0]]!a}"))
    if not single.any():
        what = "has no usable object" if not every.any() else "has crowds only, and no usable object"
        faults.add(Fault("nothing-to-learn", what), broad=True)
        return
    counts = Counter(annotations.labels[~annotations.crowd].tolist())
    for place, name in enumerate(annotations.classes):
        if not counts[place + 1]:
            part = f"category {annotations.category_ids[place]}"
            faults.add(Fault("empty-class", f"({name!a}) has no object"), part, note=not is_training)
