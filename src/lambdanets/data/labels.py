"""Whether the labels of a split are what a classifier can be trained on."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.finding import Finding
from lambdanets.data.splits import WHOLE

UNKNOWN = -1
"""The label of a picture that has none."""
MAX_LABEL = 10**6
"""A larger number is no class but a mistake; so many names would not fit in memory."""
FEW = 8
"""Gaps that are named one by one."""


def numbered_classes(greatest: int) -> tuple[str, ...]:
    """Names for classes that have none: their numbers, 0 … greatest."""
    return tuple(str(number) for number in range(greatest + 1))


def judge_labels(
    labels: NDArray[np.int64],
    classes: Sequence[str],
    split: str,
    *,
    where: str,
    place: Callable[[str], str] | None = None,
) -> list[Finding]:
    """One class only, classes without a picture, gaps in the numbers. Pictures without any label are not judged.

    What lacks in a split that nothing is trained on is a note. `place` tells where a class's pictures belong; without
    it the classes are numbers, and what has no picture is a gap.
    """
    known = labels[labels >= 0]
    if not len(known) and (len(labels) or not classes):
        return []
    taught = split in ("train", WHOLE)
    counts = np.bincount(known, minlength=len(classes))
    absent = [int(number) for number in np.flatnonzero(counts == 0)]
    findings = [_empty(place(classes[number]), note=not taught) for number in absent] if place else []
    if absent and not place:
        findings = [_gap(where, absent, len(classes), note=not taught)]
    if len(classes) == 1:
        findings.append(_lonely(where, classes[0]))
    return findings


def too_large(where: str, label: object) -> Finding:
    """The finding about a label that is no number of a class."""
    return Finding(
        kind="label",
        where=where,
        what=f"has the label {str(label)[:40]!r}",
        fix=f"wanted a whole number, 0 to {MAX_LABEL:,}; write the number of its class",
    )


def unlabelled_among_labelled(where: str, count: int) -> Finding:
    """The finding about pictures without a label in a split where others have one; `where` names the first."""
    more = f", and {count - 1} more like it" if count > 1 else ""
    return Finding(
        kind="no-label",
        where=where,
        what=f"has no label, while others have one{more}",
        fix="label it, or keep what is not labelled in a data set of its own",
    )


def _empty(where: str, *, note: bool) -> Finding:
    fix = "nothing has to be done, but it cannot be judged" if note else "add some, or remove the class"
    return Finding(kind="empty-class", where=where, what="holds no image", fix=fix, note=note)


def _gap(where: str, absent: Sequence[int], count: int, *, note: bool) -> Finding:
    named = ", ".join(map(str, absent[:FEW])) + (f" and {len(absent) - FEW} more" if len(absent) > FEW else "")
    fix = "nothing has to be done, but it cannot be judged" if note else "number the classes anew, without a gap"
    what = f"has no image with label {named}, though labels go from 0 to {count - 1}"
    return Finding(kind="label-gap", where=where, what=what, fix=fix, note=note)


def _lonely(where: str, name: str) -> Finding:
    what = f"has one class only, '{name}'"
    return Finding(kind="one-class", where=where, what=what, fix="wanted two or more; add pictures of another class")
