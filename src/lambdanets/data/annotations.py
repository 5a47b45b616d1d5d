"""COCO's annotation files read: what is sound kept in few bytes, what is not named with its place in the file.

Of each object its label and its place in the file are kept, 17 bytes; its box and outline are read again when its
picture is. So all of COCO's training objects take 15 MB, and are sent to worker processes quickly.

Letters: m pictures, n objects, y rows and x columns of pixels.
"""

import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.annotation_faults import (
    Fault,
    Faults,
    described,
    is_whole,
    judge_annotation,
    judge_category,
    judge_picture,
    place_of,
)
from lambdanets.data.finding import DataError
from lambdanets.data.json_lists import Entry, JsonError, list_entries, read_entry
from lambdanets.data.packed import PackedTexts

Ints = NDArray[np.int64]
LISTS = ("images", "annotations", "categories")
MOST_MASK_BYTES = 2**31
"""A picture whose masks, a byte for each pixel of each object, would take more is left out."""


@dataclass(eq=False)
class Annotations:
    """The sound part of an annotation file: its pictures in the order of the file, with their objects."""

    path: Path
    stamp: tuple[int, int]
    """Bytes of the file, and when it was changed."""
    picture_ids: Ints
    sizes: Ints
    """(m, 2) rows and columns."""
    names: PackedTexts
    """Of the pictures' files."""
    category_ids: tuple[int, ...]
    """In order; label k is category_ids[k − 1]."""
    classes: tuple[str, ...]
    """Their names."""
    ends: Ints
    """(m,) the number of objects up to the end of each picture."""
    begins: Ints
    """(n,) the first byte of each object in the file; picture by picture."""
    lengths: NDArray[np.int32]
    labels: NDArray[np.int32]
    crowd: NDArray[np.bool_]
    _descriptor: int | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.picture_ids)

    def span(self, index: int) -> slice:
        """Which objects a picture has."""
        return slice(int(self.ends[index - 1]) if index else 0, int(self.ends[index]))

    def read(self, index: int) -> list[dict[str, Any]]:
        """What the file says of each object of a picture.

        Raises:
            DataError: the file is gone, or not what it was when it was read first.
        """
        own = self.span(index)
        return [self._entry(begin, length) for begin, length in zip(self.begins[own], self.lengths[own], strict=True)]

    def object_counts(self, *, crowds: bool) -> Ints:
        """(m,) how many objects each picture has, with or without crowds."""
        sums = np.concatenate([[0], np.cumsum(np.ones_like(self.crowd) if crowds else ~self.crowd, dtype=np.int64)])
        return np.diff(sums[self.ends], prepend=0)

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process, which opens the file itself."""
        return vars(self) | {"_descriptor": None}

    def __del__(self) -> None:
        """Nobody reads any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _entry(self, begin: np.int64, length: np.int32) -> dict[str, Any]:
        if self._descriptor is None:
            self._descriptor = self._opened()
        return read_entry(os.pread(self._descriptor, int(length), int(begin)))

    def _opened(self) -> int:
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise DataError(f"{self.path} cannot be read any more ({error.strerror}): put it back.") from None
        if stamp_of(descriptor) != self.stamp:
            os.close(descriptor)
            raise DataError(f"{self.path} was changed since it was read first: start again.")
        return descriptor


def read_annotations(
    path: Path, name: str, is_there: Callable[[str], bool], max_objects: int
) -> tuple[Annotations, Faults]:
    """What is sound in an annotation file, called `name` in the data set, and all that is wrong with it.

    `is_there` says whether there is a picture of a name. A picture with more than `max_objects` is left out.

    Raises:
        DataError: the file cannot be read.
    """
    reader = _Reader(Faults(name), is_there)
    stamp = (0, 0)
    try:
        stamp = stamp_of(path)
        for late in (False, True):
            for entry in list_entries(path, ("annotations",) if late else LISTS):
                reader.take(entry)
            if not reader.was_too_early:
                break
            reader.was_too_early = False  # the objects stand before their pictures: once more for these
    except JsonError as error:
        reader.faults.add(Fault("not-json", str(error)), broad=True)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): let yourself read it.") from None
    return reader.finish(path, stamp, max_objects), reader.faults


def stamp_of(file: Path | int) -> tuple[int, int]:
    """What tells a file from what it is made later."""
    seen = os.stat(file)
    return seen.st_size, seen.st_mtime_ns


class _Reader:
    """Takes the entries of a file one by one."""

    def __init__(self, faults: Faults, is_there: Callable[[str], bool]) -> None:
        self.faults = faults
        self.was_too_early = False
        self._is_there = is_there
        self._places: dict[int, int] = {}
        """Where in the lists below the picture of an id is."""
        self._names: dict[str, None] = {}
        self._rows, self._columns = array("q"), array("q")
        self._bad_pictures: set[int] = set()
        """Ids of pictures that are listed, but cannot be used."""
        self._categories: dict[int, str] = {}
        self._class_names: set[str] = set()
        # Of each object: place of its picture, id of its category, crowd, id, line, byte, bytes.
        self._objects = array("q")

    def take(self, entry: Entry) -> None:
        """Keep an entry, or tell what is wrong with it."""
        if entry.name == "images":
            self._tell(self._take_picture(entry.value), entry, "picture")
        elif entry.name == "categories":
            self._tell(self._take_category(entry.value), entry, "category")
        elif not self._places and not self._bad_pictures:
            self.was_too_early = True
        else:
            self._tell(self._take_object(entry), entry, "annotation")

    def finish(self, path: Path, stamp: tuple[int, int], max_objects: int) -> Annotations:
        """All that was kept, in order."""
        of_picture, category, crowd, own, line, begin, length = np.array(self._objects).reshape(-1, 7).T
        ids = np.array(sorted(self._categories), dtype=np.int64)
        known = np.isin(category, ids)
        first = _first_of_each(own)
        kept = known & first
        for place in np.flatnonzero(~kept):
            number = int(own[place]) if own[place] >= 0 else None
            unknown = Fault("unknown-category", f"is of category {category[place]}, which is not listed")
            fault = unknown if not known[place] else Fault("same-id", "has the id of an annotation before it")
            self.faults.add(fault, described("annotation", number, int(line[place]), int(begin[place])))
        counts = np.bincount(of_picture[kept], minlength=len(self._places))
        crammed = self._too_many(counts, max_objects)
        kept &= ~crammed[of_picture]
        renumbered = np.cumsum(~crammed) - 1
        order = np.flatnonzero(kept)[np.argsort(renumbered[of_picture[kept]], kind="stable")]
        counts = np.bincount(renumbered[of_picture[order]], minlength=int((~crammed).sum()))
        whole = np.flatnonzero(~crammed)
        names = list(self._names)
        return Annotations(
            path=path,
            stamp=stamp,
            picture_ids=np.array(list(self._places), dtype=np.int64)[whole],
            sizes=np.stack([np.array(self._rows), np.array(self._columns)], axis=1)[whole].astype(np.int64),
            names=PackedTexts(names[place] for place in whole),
            category_ids=tuple(ids.tolist()),
            classes=tuple(self._categories[number] for number in ids.tolist()),
            ends=np.cumsum(counts, dtype=np.int64),
            begins=begin[order],
            lengths=length[order].astype(np.int32),
            labels=(np.searchsorted(ids, category[order]) + 1).astype(np.int32),
            crowd=crowd[order].astype(bool),
        )

    def _tell(self, fault: Fault | None, entry: Entry, word: str) -> None:
        if fault is not None:
            self.faults.add(fault, place_of(entry, word))

    def _take_picture(self, picture: Any) -> Fault | None:
        fault = judge_picture(picture)
        number = picture.get("id") if isinstance(picture, dict) else None
        if is_whole(number) and (number in self._places or number in self._bad_pictures):
            return fault or Fault("same-picture-id", f"({picture['file_name']!a}) has the id of a picture before it")
        fault = fault or self._judge_name(picture["file_name"])
        if fault is None:
            self._places[picture["id"]] = len(self._places)
            self._names[picture["file_name"]] = None
            self._rows.append(picture["height"])
            self._columns.append(picture["width"])
        elif is_whole(number):
            self._bad_pictures.add(picture["id"])
        return fault

    def _judge_name(self, name: str) -> Fault | None:
        if name in self._names:
            return Fault("same-picture", f"is {name!a}, which is listed before under another id")
        return None if self._is_there(name) else Fault("missing-picture", f"is {name!a}, which is not there")

    def _take_category(self, category: Any) -> Fault | None:
        fault = judge_category(category)
        if fault is None and (category["id"] in self._categories or category["name"] in self._class_names):
            fault = Fault("category-entry", "has the id or the name of a category before it")
        if fault is None:
            self._categories[category["id"]] = category["name"]
            self._class_names.add(category["name"])
        return fault

    def _take_object(self, entry: Entry) -> Fault | None:
        value = entry.value
        number = value.get("image_id") if isinstance(value, dict) else None
        if is_whole(number) and number in self._bad_pictures:
            return None  # of the picture all is told
        place = self._places.get(number) if is_whole(number) else None  # type: ignore[arg-type]
        size = None if place is None else (self._rows[place], self._columns[place])
        fault = judge_annotation(value, size)
        if fault is not None or place is None:
            return fault
        crowd, own = int(value.get("iscrowd", 0)), value.get("id", -1)
        self._objects.extend((place, value["category_id"], crowd, own, entry.line, entry.begin, entry.length))
        return None

    def _too_many(self, counts: Ints, max_objects: int) -> NDArray[np.bool_]:
        pixels = counts * np.array(self._rows, dtype=np.int64) * np.array(self._columns, dtype=np.int64)
        heavy, crowded = pixels > MOST_MASK_BYTES, counts > max_objects
        ids, names = list(self._places), list(self._names)
        for place in np.flatnonzero(heavy | crowded):
            what = f"({names[place]!a}) has {counts[place]:,} objects, "
            what += (
                f"wanted {max_objects:,} at most"
                if crowded[place]
                else f"whose masks would take {pixels[place]:,} bytes, wanted {MOST_MASK_BYTES:,} at most"
            )
            self.faults.add(Fault("too-many", what), f"picture {ids[place]}")
        return heavy | crowded


def _first_of_each(numbers: Ints) -> NDArray[np.bool_]:
    """Which numbers are the first of their kind; negative ones stand for none and all are."""
    first = np.zeros(len(numbers), dtype=bool)
    first[np.unique(numbers, return_index=True)[1]] = True
    return first | (numbers < 0)
