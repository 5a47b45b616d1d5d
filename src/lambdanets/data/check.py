"""A data set looked at from end to end before anything is trained on it: every file read, every label counted.

Each form says itself what is wrong with its folders, shards or tables; what is said of pictures and classes is the same
for all. Memory: about 60 bytes a picture, and what is found.
"""

import multiprocessing
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lambdanets.data.coco_check import judge_size
from lambdanets.data.coco_folder import CocoSource
from lambdanets.data.duplicates import Digests, find_duplicates
from lambdanets.data.finding import Finding
from lambdanets.data.look import Look, judge_look, look_at
from lambdanets.data.source import Source, available_splits, chosen_split, examine_source, form_of
from lambdanets.data.splits import WHOLE

ODD_MODES = {"1": "black and white", "P": "of a palette", "PA": "of a palette", "CMYK": "inks", "YCbCr": "video"}
USUAL_MODES = ("L", "RGB")
"""What is trained on as it is; all else is turned into one of these."""
UNEVEN = 10
"""Times as many pictures in one class as in another, from which that is worth a note."""
MOST_FINDINGS = 100_000
"""Findings of a kind that are kept; the rest is counted."""
_CHUNK = 32
"""Pictures that a worker looks at before it reports."""

Watch = Callable[[str, int, int], None]
"""Is told of the split, of how many pictures have been looked at, and of how many there are."""


@dataclass(kw_only=True)
class SplitReport:
    """What a split consists of."""

    split: str
    images: int
    broken: int = 0
    modes: Counter[str] = field(default_factory=Counter)
    """How many pictures have each kind of pixels, as Pillow calls them."""
    widths: tuple[int, float, int] | None = None
    """Least, median and greatest, in pixels; None where no picture can be read."""
    heights: tuple[int, float, int] | None = None
    classes: dict[str, int] = field(default_factory=dict)
    """How many pictures each class has; in COCO's form, how many objects."""


@dataclass(kw_only=True)
class Report:
    """What a data set consists of, and what was found."""

    path: str
    form: str
    splits: list[SplitReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """What has to be mended first, then the notes."""
    left_out: Counter[str] = field(default_factory=Counter)
    """How many more findings of a kind there were than are kept."""

    @property
    def well(self) -> bool:
        """Whether nothing has to be mended."""
        return all(finding.note for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        findings = [finding.as_json() for finding in self.findings]
        return vars(self) | {"splits": [vars(part) for part in self.splits], "findings": findings, "well": self.well}


def check_data(path: Path, split: str | None = None, *, workers: int = 0, watch: Watch | None = None) -> Report:
    """Look at every picture of a split, of all splits by default, in this process or in `workers` others.

    Raises:
        DataError: there is no data of a known form, or no such split.
        ChildProcessError: a worker was killed, by a lack of memory as a rule.
    """
    names = [chosen_split(path, split)] if split is not None else list(available_splits(path)) or [WHOLE]
    report = Report(path=str(path), form=form_of(path).NAME)
    sources: list[Source] = []
    digests: list[Digests] = []
    kept = _Kept(report)
    for name in names:
        source, findings = examine_source(path, name)
        part, hashes = _check_split(name, source, workers, watch, kept)
        kept.add(findings)
        if isinstance(source, CocoSource):
            report.left_out.update(source.faults.left_out)
        report.splits.append(part)
        sources.append(source)
        digests.append(hashes)
    kept.add(
        find_duplicates(
            names, digests, [source.labels for source in sources], lambda place, index: sources[place].name(index)
        )
    )
    report.findings.sort(key=lambda finding: finding.note)
    return report


class _Kept:
    """Puts findings into a report, as many as memory is meant to hold."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._counts: Counter[str] = Counter()

    def add(self, findings: Sequence[Finding] | Iterator[Finding]) -> None:
        """Count these, and keep the first of each kind."""
        for finding in findings:
            self._counts[finding.kind] += 1
            if self._counts[finding.kind] <= MOST_FINDINGS:
                self._report.findings.append(finding)
            else:
                self._report.left_out[finding.kind] += 1


def _check_split(
    split: str, source: Source, workers: int, watch: Watch | None, kept: _Kept
) -> tuple[SplitReport, Digests]:
    part = SplitReport(split=split, images=len(source))
    digests = np.zeros((len(source), 2), dtype=np.uint64)
    sizes = np.zeros((len(source), 2), dtype=np.int32)
    first_of: dict[str, str] = {}
    for index, look in enumerate(_looks(source, workers)):
        name = source.name(index)
        kept.add(judge_look(name, look))
        if isinstance(source, CocoSource):
            kept.add(judge_size(source, index, look))
        if look.error:
            part.broken += 1
        else:
            digests[index] = np.frombuffer(look.digest, dtype=np.uint64)
            sizes[index] = look.width, look.height
            part.modes[look.mode] += 1
            first_of.setdefault(look.mode, name)
        if watch is not None:
            watch(split, index + 1, len(source))
    seen = sizes[sizes[:, 0] > 0]
    if len(seen):
        part.widths, part.heights = ((int(s.min()), float(np.median(s)), int(s.max())) for s in seen.T)
    kept.add(_odd_modes(part, first_of))
    if isinstance(source, CocoSource):
        part.classes = source.objects_of_classes()
        return part, digests
    counts = np.bincount(source.labels[source.labels >= 0], minlength=len(source.classes)).tolist()
    part.classes = dict(zip(source.classes, counts, strict=True))
    if not len(source):
        kept.add([Finding(kind="empty", where=split or "the data", what="holds no image", fix="add some")])
    kept.add(_uneven(part))
    return part, digests


def _looks(source: Source, workers: int) -> Iterator[Look]:
    """Every picture looked at, in order."""
    if workers == 0:
        yield from (look_at(source, index) for index in range(len(source)))
        return
    chunks = iter(range(start, min(start + _CHUNK, len(source))) for start in range(0, len(source), _CHUNK))
    # Fresh processes: one made by a fork may hang if the parent runs threads, as whoever draws a bar does.
    start = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=start, initializer=_receive, initargs=(source,)) as pool:
        try:
            waiting = deque((chunk, pool.submit(_look_at_chunk, chunk)) for chunk in islice(chunks, 4 * workers))
            while waiting:
                chunk, future = waiting.popleft()
                yield from _result(source, chunk, future)
                waiting.extend((chunk, pool.submit(_look_at_chunk, chunk)) for chunk in islice(chunks, 1))
        finally:
            pool.shutdown(cancel_futures=True)  # waits: a process that ends meanwhile stumbles over the pool


_received: list[Source] = []
"""The data that a worker process looks at."""


def _receive(source: Source) -> None:
    _received[:] = [source]


def _look_at_chunk(chunk: range) -> list[Look]:
    return [look_at(_received[0], index) for index in chunk]


def _result(source: Source, chunk: range, future: "Future[list[Look]]") -> list[Look]:
    try:
        return future.result()
    except BrokenProcessPool:
        raise ChildProcessError(
            f"A worker was killed, at or soon after {source.name(chunk.start)}; for lack of memory, as a rule: "
            "take fewer with --workers, or none to find the picture."
        ) from None


def _odd_modes(part: SplitReport, first_of: dict[str, str]) -> Iterator[Finding]:
    for mode in sorted(set(part.modes) - set(USUAL_MODES)):
        count, meaning = part.modes[mode], ODD_MODES.get(mode, "transparent" if "A" in mode else "not of 8 bits")
        more = f", as {count - 1} more in this split are" if count > 1 else ""
        what = f"is of mode {mode} ({meaning}){more}"
        fix = "it is turned into grey or RGB; do so yourself to be sure of its colours"
        yield Finding(kind="odd-mode", where=first_of[mode], what=what, fix=fix, note=True)


def _uneven(part: SplitReport) -> Iterator[Finding]:
    filled = {name: count for name, count in part.classes.items() if count}
    if len(filled) < 2:
        return
    least, most = min(filled, key=lambda name: filled[name]), max(filled, key=lambda name: filled[name])
    if filled[most] > UNEVEN * filled[least]:
        what = f"has {filled[least]} images of class '{least}' and {filled[most]} of '{most}'"
        fix = "see whether the accuracy of each class matters to you"
        yield Finding(kind="uneven", where=part.split or "the data", what=what, fix=fix, note=True)
