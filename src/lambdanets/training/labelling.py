"""Labels for pictures that nobody has labelled, given by a trained network: the teacher of pseudo-label training.

`label_pool` writes what the teacher says of each picture into a journal, a block of lines at a time, and goes on with a
journal that it finds: a kill loses the block that was not written. `write_chosen` then makes the file of labels of it:
which pictures are sure enough, how many of each class, soft or hard. So to choose again costs no second labelling.

Letters: b batch, p pictures.
"""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lambdanets.data.batch import LabelledBatch
from lambdanets.data.images import ImageError
from lambdanets.data.loader import LoaderConfig, Request, load_batches
from lambdanets.data.mixture import Part
from lambdanets.data.pseudo import DIGITS, LEAST, write_labels
from lambdanets.printable import printable
from lambdanets.training.claim import lock
from lambdanets.whole_file import append_line, write_whole

Line = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which pictures keep their labels, and in which form."""

    soft: bool = False
    """Whether a label is the probabilities of the classes instead of the likeliest class."""
    min_confidence: float = 0.5
    """Least probability of the likeliest class, 0…1."""
    balance: int | None = None
    """Most pictures that a class keeps, the likeliest first; None: all."""

    def __post_init__(self) -> None:
        """Refuse numbers outside the ranges above."""
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"--min-confidence: got {self.min_confidence}, wanted 0 to 1.")
        if self.balance is not None and self.balance < 1:
            raise ValueError(f"--balance: got {self.balance}, wanted 1 picture of a class or more.")


@dataclass(kw_only=True)
class Labelled:
    """What came of a pool."""

    pictures: int = 0
    kept: int = 0
    unsure: int = 0
    """Below the least confidence."""
    beyond: int = 0
    """Sure enough, but beyond what their class may keep."""
    unreadable: list[str] = field(default_factory=list)
    """A sentence each."""
    of_class: Counter[int] = field(default_factory=Counter)
    """Kept pictures by class number."""


@torch.no_grad()
def label_pool(
    predict: Callable[[Tensor], Tensor],
    pool: Part,
    journal: Path,
    header: Mapping[str, Any],
    *,
    batch_size: int,
    loader: LoaderConfig,
    views: int = 0,
    watch: Callable[[int], object] = lambda done: None,
) -> None:
    """Bring the journal to the end of the pool, from wherever it stands; `watch` is told how many pictures are done.

    `predict` gives logits (b, classes) for images (b, c, y, x). The header says whose labels these are, of which pool.
    A picture is shown as it is; or in so many `views`, varied as training varies it, and the probabilities averaged.

    Raises:
        ValueError: the journal is of another teacher or pool, or another process writes it.
        NotWrittenError: it cannot be written; what is in it stays.
    """
    every = {"pictures": len(pool), "names_sha256": _names_hash(map(pool.name, range(len(pool))))}
    done = begin_journal(journal, {**header, "views": views, **every})
    watch(done)

    def requests(first: int) -> Iterator[Request]:
        """Block after block of what is left, each as often as there are views: numbered from 1, 0 is as it is."""
        for number, start in enumerate(range(first, len(pool), batch_size)):
            indices = np.arange(start, min(start + batch_size, len(pool)))
            for view in range(1, views + 1) if views else (0,):
                yield Request(number, indices, np.full_like(indices, view))

    with _alone_at(journal):
        blocks = load_batches(_Block(pool), requests, done, loader, pin=False, warn=warnings.warn)
        sums: float | NDArray[np.floating] = 0.0
        for count, block in enumerate(blocks, 1):
            sums = sums + predict(block.batch.images).softmax(1).cpu().numpy()
            if views and count % views:
                continue
            lines = _lines(block, sums / max(1, views))
            append_line(journal, "\n".join(json.dumps(line) for line in lines))
            sums, done = 0.0, done + len(lines)
            watch(done)


def begin_journal(journal: Path, header: Mapping[str, Any]) -> int:
    """How many pictures the journal has already; a new one is begun where there is none, a torn last line goes.

    Raises:
        ValueError: it is of another teacher or pool.
    """
    first = json.dumps(header)
    if not journal.exists():
        write_whole(journal, first.encode() + b"\n")
        return 0
    text = journal.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    begun, *lines = whole.decode("utf-8", "replace").split("\n")[:-1] or [""]
    if begun != first:
        raise ValueError(
            f"{journal} was begun by another teacher or for another pool: remove it, or give another --out."
        )
    if len(whole) < len(text):
        write_whole(journal, whole)
    return len(lines)


def write_chosen(journal: Path, path: Path, filters: Filters) -> Labelled:
    """Write the file of labels (data.pseudo) of a journal that is at its end.

    Raises:
        ValueError: the journal does not hold the pool's pictures in their order.
        NotWrittenError: the file cannot be written; the journal stays.
    """
    begun, *rows = journal.read_bytes().splitlines()
    header, lines = json.loads(begun), [json.loads(row) for row in rows]
    if _names_hash(line["name"] for line in lines) != header["names_sha256"]:
        raise ValueError(f"{journal} is not the journal of one labelling: remove it, and label the pool again.")
    keeps, found = _chosen(lines, filters)
    chosen = (_final(line, filters.soft) for line, keep in zip(lines, keeps, strict=True) if keep)
    unread = (line for line in lines if "unreadable" in line)
    filtered = {"soft": filters.soft, "min_confidence": filters.min_confidence, "balance": filters.balance}
    write_labels(path, {**header, **filtered, "labels": found.kept}, [*chosen, *unread])
    return found


class _Made(NamedTuple):
    """Some pictures of the pool."""

    batch: LabelledBatch
    names: tuple[str, ...]
    hashes: tuple[str, ...]
    """Empty for a picture that cannot be read."""


@dataclass(frozen=True)
class _Block:
    """Makes blocks of pictures; a class, so that it can be sent to worker processes."""

    pool: Part

    def __call__(self, request: Request) -> _Made:
        indices = [int(index) for index in request.indices]
        varied = request.epochs.any()
        batch = self.pool.augmented(request.indices, request.epochs, 0) if varied else self.pool.plain(request.indices)
        return _Made(batch, tuple(map(self.pool.name, indices)), tuple(map(self._hash, indices)))

    def _hash(self, index: int) -> str:
        try:
            return self.pool.content_hash(index)
        except ImageError:
            return ""


def _lines(block: _Made, probabilities: NDArray[np.floating]) -> list[Line]:
    notes = iter(block.batch.notes)
    lines = []
    for name, digest, weight, shares in zip(block.names, block.hashes, block.batch.weights, probabilities, strict=True):
        if not weight > 0:
            lines.append({"name": name, "unreadable": printable(next(notes, "it cannot be read."))})
        elif not np.isfinite(shares).all():
            lines.append({"name": name, "unreadable": f"{printable(name)}: the teacher's answer is not a number."})
        else:
            lines.append({"name": name, "sha256": digest, "probabilities": _kept_shares(shares)})
    return lines


def _kept_shares(shares: NDArray[np.floating]) -> dict[str, float]:
    """{class number: probability} of what is worth keeping, likeliest first."""
    order = [int(number) for number in np.argsort(-shares, kind="stable") if shares[number] >= LEAST]
    order = order or [int(shares.argmax())]  # of very many classes none may reach it
    return {str(number): round(float(shares[number]), DIGITS) or LEAST for number in order}


def _chosen(lines: list[Line], filters: Filters) -> tuple[list[bool], Labelled]:
    """Whether each line stays, and the counts of it."""
    found = Labelled(pictures=len(lines))
    found.unreadable = [line["unreadable"] for line in lines if "unreadable" in line]
    keeps = [False] * len(lines)
    likeliest_first = sorted(range(len(lines)), key=lambda place: -_confidence(lines[place]))
    for place in likeliest_first:
        if "unreadable" in lines[place]:
            continue
        label = _label(lines[place])
        if _confidence(lines[place]) < filters.min_confidence:
            found.unsure += 1
        elif filters.balance is not None and found.of_class[label] >= filters.balance:
            found.beyond += 1
        else:
            keeps[place] = True
            found.of_class[label] += 1
    found.kept = sum(keeps)
    return keeps, found


def _final(line: Line, soft: bool) -> Line:
    if soft:
        return line
    return {"name": line["name"], "sha256": line["sha256"], "label": _label(line), "confidence": _confidence(line)}


def _label(line: Line) -> int:
    return int(next(iter(line["probabilities"])))


def _confidence(line: Line) -> float:
    return next(iter(line.get("probabilities", {"": 0.0}).values()))


def _names_hash(names: Iterable[str]) -> str:
    """Tells a pool from one with other pictures or in another order."""
    every = sha256()
    for name in names:
        every.update(name.encode("utf-8", "surrogateescape") + b"\0")
    return every.hexdigest()


@contextmanager
def _alone_at(journal: Path) -> Iterator[None]:
    """Within this block no other process that asks can write the journal; the kernel ends it with the process."""
    with journal.open("rb") as file:
        lock(file.fileno(), f"{journal} is being written by another process: wait until it ends.")
        yield
