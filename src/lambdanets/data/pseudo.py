"""A file of pseudo-labels: what a trained network, the teacher, says of pictures that nobody has labelled.

One line of JSON each, UTF-8 (docs/pseudo-labels.md has an example):

    a header    format, classes, pool, pictures in it, soft, how it was filtered, the teacher and its weights' sha256
    a picture   name, sha256 of its content; `probabilities` {class number: share}, or `label` and `confidence`
    an unread   name, `unreadable`: why
    a seal      how many lines come before it and the sha256 of them all, so that no change goes unnoticed

Probabilities below `LEAST` are left out and the others scaled to sum to one: a thousand classes stay a short line.

Letters: b batch, p pictures that have a pseudo-label.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lambdanets.printable import printable
from lambdanets.whole_file import write_whole

FORMAT = "lambdanets pseudo-labels 1"
LEAST = 0.001
"""A probability below is not kept."""
DIGITS = 4
"""Decimals that a probability keeps."""
HASH_LENGTH = 16
"""Letters kept of a picture's sha256: two different pictures share them once in 10^19."""


class LabelsError(ValueError):
    """A file of pseudo-labels that cannot be used; says what to do."""


@dataclass(frozen=True, kw_only=True)
class PseudoConfig:
    """Which pseudo-labels a student learns from, beside true labels, and how much they count."""

    labels: str | None = None
    """The file that `lambdanets pseudo-label` wrote. None: only true labels are learned from."""
    pool: str = ""
    """Where the pictures that it names are. By default where they were when they were labelled."""
    share: float = 0.5
    """Share of each batch that has pseudo-labels, 0…1."""
    weight: float = 1.0
    """How much a pseudo-label counts in the loss where a true one counts 1, above 0, up to 100."""

    def __post_init__(self) -> None:
        """Refuse numbers outside the ranges above."""
        if not 0 <= self.share <= 1:
            raise ValueError(f"data.pseudo.share: got {self.share}, wanted 0 to 1.")
        if not 0 < self.weight <= 100:
            raise ValueError(f"data.pseudo.weight: got {self.weight}, wanted a number above 0, up to 100.")

    @property
    def wanted(self) -> bool:
        """Whether pseudo-labels are learned from; LabelsError for a pool that no labels belong to."""
        if self.labels is None and self.pool:
            raise LabelsError(f"data.pseudo.pool: got {self.pool}, but no labels: name them by data.pseudo.labels too.")
        return self.labels is not None


@dataclass(frozen=True, kw_only=True, eq=False)
class Targets:
    """What is said of p pictures: a class each, or the probabilities of some classes, as rows laid end to end."""

    num_classes: int
    starts: NDArray[np.int64]
    """(p + 1,) where the row of each picture starts, and the end of the last."""
    classes: NDArray[np.int64]
    """Class numbers, row after row."""
    shares: NDArray[np.float32]
    """Their probabilities, which sum to one in every row."""

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.starts) - 1

    @property
    def soft(self) -> bool:
        """Whether any picture has more than one class."""
        return len(self.classes) > len(self)

    def at(self, indices: NDArray[np.int64]) -> Tensor:
        """The labels (b,) int64 of these pictures if none of all is soft, otherwise probabilities (b, classes)."""
        if not self.soft:
            return torch.from_numpy(self.classes[indices])
        rows = torch.zeros(len(indices), self.num_classes)
        for row, index in zip(rows, indices, strict=True):
            part = slice(self.starts[index], self.starts[index + 1])
            row[torch.from_numpy(self.classes[part])] = torch.from_numpy(self.shares[part])
        return rows

    def renamed(self, places: NDArray[np.int64], num_classes: int) -> "Targets":
        """The same in other class numbers: class c becomes places[c]."""
        return Targets(num_classes=num_classes, starts=self.starts, classes=places[self.classes], shares=self.shares)


@dataclass(frozen=True, kw_only=True, eq=False)
class PseudoLabels:
    """What a file of pseudo-labels holds."""

    path: Path
    header: Mapping[str, Any]
    names: tuple[str, ...]
    """(p,) of the pictures that have a label."""
    hashes: tuple[str, ...]
    """(p,) `content_hash` of each."""
    targets: Targets

    @property
    def classes(self) -> tuple[str, ...]:
        """The teacher's class names, in order of its class numbers."""
        return tuple(self.header["classes"])


def content_hash(content: bytes) -> str:
    """What tells a picture's content from another's."""
    return hashlib.sha256(content).hexdigest()[:HASH_LENGTH]


def write_labels(path: Path, header: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of pseudo-labels, whole or not at all.

    Raises:
        NotWrittenError: it cannot be written.
    """
    body = [json.dumps(line) for line in ({"format": FORMAT, **header}, *lines)]
    text = "".join(line + "\n" for line in body).encode()
    write_whole(path, text + json.dumps(_seal(text, len(body))).encode() + b"\n")


def read_labels(path: Path) -> PseudoLabels:
    """What the file holds, if it is to the letter what was written.

    Raises:
        LabelsError: it is missing, something else, damaged, or holds no label at all.
    """
    header, *lines = _sealed_lines(path)
    try:
        if header["format"] != FORMAT:
            raise LabelsError(f"{path} is of the form '{header['format']}', wanted '{FORMAT}': label the pool again.")
        pictures = [line for line in lines if "unreadable" not in line]
        targets = _targets(pictures, len(header["classes"]))
        names, hashes = (tuple(str(line[key]) for line in pictures) for key in ("name", "sha256"))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise LabelsError(f"{path} is no file of pseudo-labels: make one with lambdanets pseudo-label.") from error
    if not names:
        raise LabelsError(f"{path} holds no label: label the pool again, with a lower --min-confidence.")
    return PseudoLabels(path=path, header=header, names=names, hashes=hashes, targets=targets)


def probabilities_of(line: Mapping[str, Any]) -> dict[int, float]:
    """{class number: probability} of a picture's line, summing to one."""
    if "label" in line:
        return {int(line["label"]): 1.0}
    shares = {int(number): float(share) for number, share in line["probabilities"].items()}
    total = sum(shares.values())
    return {number: share / total for number, share in shares.items()}


def _targets(pictures: list[dict[str, Any]], num_classes: int) -> Targets:
    rows = [probabilities_of(picture) for picture in pictures]
    classes = np.array([number for row in rows for number in row], dtype=np.int64)
    if len(classes) and (classes.min() < 0 or classes.max() >= num_classes):
        raise IndexError("a class number that no class has")
    return Targets(
        num_classes=num_classes,
        starts=np.cumsum([0, *map(len, rows)], dtype=np.int64),
        classes=classes,
        shares=np.array([share for row in rows for share in row.values()], dtype=np.float32),
    )


def _sealed_lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise LabelsError(f"{printable(path)} cannot be read: {error.strerror}.") from error
    *body, seal = text.splitlines(keepends=True) or [b""]
    try:
        lines = [json.loads(line) for line in body]
        written = json.loads(seal)
    except (ValueError, RecursionError) as error:
        raise LabelsError(f"{printable(path)} is damaged or no file of pseudo-labels: {_AGAIN}") from error
    if not lines or written != _seal(b"".join(body), len(body)):
        raise LabelsError(f"{printable(path)} is not what was written: {_AGAIN}")
    return lines


def _seal(text: bytes, num_lines: int) -> dict[str, Any]:
    return {"lines": num_lines, "sha256": hashlib.sha256(text).hexdigest()}


_AGAIN = "label the pool again with lambdanets pseudo-label."
