"""Pictures in tar files with the names of webdataset: KEY.jpg beside KEY.cls (a number) or KEY.json ({"label": …}).

Where each picture lies in its shard is looked up once (`tar_index`); from then on a picture is one read at a known
place, so that shards are as good as a folder for any order of samples.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.finding import DataError, Finding
from lambdanets.data.images import ImageError
from lambdanets.data.labels import UNKNOWN, judge_labels, numbered_classes, unlabelled_among_labelled
from lambdanets.data.packed import PackedTexts
from lambdanets.data.splits import files_by_split, in_order
from lambdanets.data.tar_index import ShardIndex, index_shards
from lambdanets.data.tree import MAX_BYTES

NAME = "shards"
CLASSES_FILE = "classes.txt"
"""Beside the shards: the name of each class, a line each; without it classes are called by their numbers."""
_MOST_OPEN = 256
"""Shards that are kept open; of a system's limit, which is often 1024, other things need their part."""


class ShardSource:
    """The pictures of one split, in the order of its shards and of the members in them."""

    def __init__(self, root: Path, indexes: list[ShardIndex], classes: tuple[str, ...]) -> None:
        self._root = root
        self._shards = [index.name for index in indexes]
        counts = [len(index.labels) for index in indexes]
        self._shard_of = np.repeat(np.arange(len(indexes), dtype=np.int32), counts)
        self._offsets = _joined([index.offsets for index in indexes])
        self._sizes = _joined([index.sizes for index in indexes])
        self._members = PackedTexts(member for index in indexes for member in index.members)
        self._open: dict[int, int] = {}
        self.labels = _joined([index.labels for index in indexes])
        self.classes = classes

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.labels)

    def name(self, index: int) -> str:
        """shard.tar:member."""
        return f"{self._shards[self._shard_of[index]]}:{self._members[index]}"

    def read(self, index: int) -> bytes:
        """What is in the file of a picture; OSError or ImageError if its shard is gone or cut off."""
        size = int(self._sizes[index])
        if size > MAX_BYTES:
            raise ImageError(f"{self.name(index)} has {size:,} bytes, wanted {MAX_BYTES:,} at most: make it smaller.")
        content = self._read_at(int(self._shard_of[index]), int(self._offsets[index]), size)
        if len(content) < size:
            raise ImageError(f"{self.name(index)} is cut off: fetch its shard again.")
        return content

    def _read_at(self, shard: int, offset: int, size: int) -> bytes:
        """By `pread`: processes that share an open file after a fork do not share its position so."""
        kept = self._open.get(shard)
        descriptor = os.open(self._root / self._shards[shard], os.O_RDONLY) if kept is None else kept
        try:
            return os.pread(descriptor, size, offset)
        finally:
            if kept is None and (
                len(self._open) >= _MOST_OPEN or self._open.setdefault(shard, descriptor) != descriptor
            ):
                os.close(descriptor)

    def __getstate__(self) -> dict[str, Any]:
        """Without the open files: a process that this is sent to opens its own."""
        return self.__dict__ | {"_open": {}}

    def __del__(self) -> None:
        for descriptor in self.__dict__.get("_open", {}).values():
            os.close(descriptor)


def is_shards(path: Path) -> bool:
    """Whether there is a tar file in the folder, or in its folders named as splits are, or it is one."""
    return bool(files_by_split(path, ".tar"))


def splits(path: Path) -> tuple[str, ...]:
    """The splits that the names of shards tell of."""
    return in_order(files_by_split(path, ".tar"))


def examine(path: Path, split: str) -> tuple[ShardSource, list[Finding]]:
    """The pictures of a split, `WHOLE` for shards whose names tell none, and what is wrong with the shards."""
    root = path if path.is_dir() else path.parent
    files = files_by_split(path, ".tar")
    every = [file for found in files.values() for file in found]
    cache = root / (".lambdanets-index.npz" if path.is_dir() else f".{path.stem}.lambdanets-index.npz")
    indexes = dict(zip(every, index_shards(root, every, cache), strict=True))
    greatest = max((int(index.labels.max(initial=UNKNOWN)) for index in indexes.values()), default=UNKNOWN)
    named = _named_classes(root)
    enough = greatest < len(named)
    classes = named if enough else numbered_classes(greatest)
    own = [indexes[file] for file in files[split]]
    source = ShardSource(root, own, classes)
    findings = [finding for index in own for finding in index.findings]
    if named and not enough:
        findings.append(_unnamed(greatest, len(named)))
    place = (lambda name: f"{path}: class {name}") if enough else None
    findings += judge_labels(source.labels, classes, split, where=str(path), place=place)
    return source, findings + _unlabelled(source) + _missing(files[split], root)


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _named_classes(root: Path) -> tuple[str, ...]:
    file = root / CLASSES_FILE
    if not file.is_file():
        return ()
    try:
        names = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except UnicodeDecodeError:
        raise DataError(f"{file} is no text in UTF-8: write the name of each class in it, a line each.") from None
    if len(set(names)) < len(names):
        raise DataError(f"{file} names a class twice: wanted one line for each class.")
    return names


def _unlabelled(source: ShardSource) -> list[Finding]:
    lacking = np.flatnonzero(source.labels == UNKNOWN)
    if not len(lacking) or len(lacking) == len(source):
        return []
    return [unlabelled_among_labelled(source.name(int(lacking[0])), len(lacking))]


def _unnamed(greatest: int, count: int) -> Finding:
    what = f"names {count} classes, but there are labels up to {greatest}"
    return Finding(kind="label", where=CLASSES_FILE, what=what, fix="name the others too, or correct the labels")


def _missing(files: list[Path], root: Path) -> list[Finding]:
    """A note where the numbers of the shards have gaps: a download may have been cut short."""
    numbers = {int(file.stem.rpartition("-")[2]): file for file in files if file.stem.rpartition("-")[2].isdecimal()}
    lacking = sorted(set(range(max(numbers, default=-1) + 1)) - set(numbers))
    if not lacking or not numbers:
        return []
    first = next(iter(sorted(numbers)))
    name = numbers[first].relative_to(root).as_posix()
    what = f"and the others lack {len(lacking)} of the numbers to {max(numbers)}, the first {lacking[0]}"
    return [Finding(kind="shard-gap", where=name, what=what, fix="fetch them, if there are such shards", note=True)]
