"""Pictures in folders: train/CLASS/x.jpg and val/CLASS/x.jpg, or CLASS/x.jpg, or a plain folder without labels."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.finding import Finding
from lambdanets.data.images import SUFFIXES, ImageError
from lambdanets.data.labels import UNKNOWN, judge_labels
from lambdanets.data.packed import PackedTexts
from lambdanets.data.splits import ALIASES, WHOLE, in_order, split_folders, split_meant, visible

NAME = "tree"
MAX_BYTES = 256 * 2**20
"""A larger file is not read: no picture that we take is so large, and it would fill the memory."""


class TreeSource:
    """The pictures of one split, by name across classes: pictures that were numbered keep that order."""

    def __init__(self, root: Path, names: PackedTexts, labels: NDArray[np.int64], classes: tuple[str, ...]) -> None:
        self._root = root
        self._names = names
        self.labels = labels
        self.classes = classes

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.labels)

    def name(self, index: int) -> str:
        """The path of a picture in the data set."""
        return self._names[index]

    def read(self, index: int) -> bytes:
        """What is in the file of a picture; OSError or ImageError if it is gone or no file."""
        return read_file(self._root / self._names[index], self._names[index])


def read_file(path: Path, name: str) -> bytes:
    """What is in a file; ImageError, in which it is called `name`, for what is no file or far too large."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would be waited for
    try:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            raise ImageError(f"{name} is not a regular file: give an image file.")
        if seen.st_size > MAX_BYTES:
            raise ImageError(f"{name} has {seen.st_size:,} bytes, wanted {MAX_BYTES:,} at most: make it smaller.")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES)
    finally:
        os.close(descriptor)


def is_tree(path: Path) -> bool:
    """Whether there is a picture in the folder or anywhere below it."""
    return path.is_dir() and next(_pictures_below(path), None) is not None


def splits(path: Path) -> tuple[str, ...]:
    """The splits of a tree; none where its folders are classes, even if one is called test."""
    folders = split_folders(path) if any(split_meant(entry.name) == "train" for entry in visible(path)) else {}
    if not folders and (inside := [entry for entry in visible(path) if entry.is_dir()]):
        folders = split_folders(path) if all(entry.name.lower() in ALIASES for entry in inside) else {}
    return in_order(folders)


def examine(path: Path, split: str) -> tuple[TreeSource, list[Finding]]:
    """The pictures of a split, `WHOLE` for a tree without splits, and what is wrong with their folders.

    The classes are those of the training split where there is one: another split may lack some, but has no others.
    """
    folder = split_folders(path)[split] if split else path
    inside = _class_folders(folder)
    classes, findings = _classes(path, split, inside)
    loose = [file for file in visible(folder) if _is_picture(file.name) and file.is_file()]
    if loose and inside:
        findings.append(_loose(_below(loose[0], path), len(loose)))
    if loose and not inside:
        names = PackedTexts(_below(file, path) for file in loose)
        return TreeSource(path, names, np.full(len(names), UNKNOWN, dtype=np.int64), ()), findings
    numbers = {name: number for number, name in enumerate(classes)}
    known = [entry.name for entry in inside if entry.name in numbers]
    found = sorted((name, numbers[entry]) for entry in known for name in _pictures_below(folder / entry))
    labels = np.array([label for _, label in found], dtype=np.int64)
    ahead = _place(folder, path)
    source = TreeSource(path, PackedTexts(f"{ahead}{classes[label]}/{name}" for name, label in found), labels, classes)
    own = {f"{ahead}{entry.name}" for entry in inside}
    judged = judge_labels(labels, classes, split, where=str(folder), place=lambda name: f"{ahead}{name}")
    return source, findings + [finding for finding in judged if _is_told(finding, own)]


def _classes(path: Path, split: str, inside: list[Path]) -> tuple[tuple[str, ...], list[Finding]]:
    """The names of the classes, and a finding for each folder that the training split does not have."""
    own = tuple(entry.name for entry in inside)
    if split in ("train", WHOLE) or "train" not in splits(path):
        return own, []
    taught = tuple(entry.name for entry in _class_folders(split_folders(path)["train"]))
    if not own:
        return taught, []
    return taught, [_unknown(_below(entry, path), taught) for entry in inside if entry.name not in taught]


def _class_folders(folder: Path) -> list[Path]:
    return [entry for entry in visible(folder) if entry.is_dir()]


def _pictures_below(folder: Path) -> Iterator[str]:
    """Every picture in a folder and the folders in it, links followed as torchvision does, but in no circle."""
    seen: set[tuple[int, int]] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        here = os.stat(root)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        ahead = _place(Path(root), folder)
        yield from (ahead + name for name in sorted(files) if _is_picture(name))


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _below(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _place(folder: Path, root: Path) -> str:
    """What stands before the names of a folder's files, seen from another folder around it."""
    return "" if folder == root else f"{_below(folder, root)}/"


def _is_told(finding: Finding, own: set[str]) -> bool:
    """Not of a class that a split has no folder for, unless it is the one that is learned from."""
    return finding.kind != "empty-class" or not finding.note or finding.where in own


def _loose(where: str, count: int) -> Finding:
    return Finding(
        kind="loose",
        where=where,
        what="lies beside folders of classes" + (f", as {count - 1} more do" if count > 1 else ""),
        fix="move it into the folder of its class",
    )


def _unknown(where: str, taught: tuple[str, ...]) -> Finding:
    return Finding(
        kind="unknown-class",
        where=where,
        what=f"is a class that the training split, with its {len(taught)}, does not have",
        fix="rename or remove it, or add pictures of it to the training split",
    )
