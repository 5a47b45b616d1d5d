"""Masks as COCO writes them: run lengths, compressed to text or as numbers, and polygons; there and back.

Runs go down the columns, the first one of zeros. Nothing that a stranger's file holds is handed to compiled code before
it has been looked at here. Polygons become pixels by the rule of COCO's own code (in faster-coco-eval), to the bit.

Letters: n masks, y rows and x columns of pixels.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
"""(y, x) of 0 and 1."""
_NUMBERS = frozenset((int, float))
_MOST_DIGITS = 8
"""Characters of a compressed run length: 40 bits are enough for any picture."""


class MaskError(ValueError):
    """Something that is no mask, and why, to be read behind what it belongs to."""


def encode_masks(masks: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Masks (n, y, x) as COCO's compressed run lengths, {"size": [y, x], "counts": text}."""
    from faster_coco_eval.core import mask as coco  # compiled, and loaded only where it is needed

    if not len(masks) or not masks[0].size:
        return [{"size": list(mask.shape), "counts": ""} for mask in masks]
    coded = coco.encode(np.asfortranarray(masks.transpose(1, 2, 0)))
    return [{"size": [int(side) for side in one["size"]], "counts": one["counts"].decode()} for one in coded]


def decode_segmentation(segmentation: Any, rows: int, columns: int) -> Mask:
    """The mask (y, x) of a COCO annotation: a list of polygons, or run lengths of either form.

    Raises:
        MaskError: it is none of these, or is not of a picture of this size.
    """
    if isinstance(segmentation, dict):
        return _filled(run_lengths(segmentation, rows, columns), rows, columns)
    return _drawn(checked_polygons(segmentation, rows, columns), rows, columns)


def run_lengths(coded: dict[str, Any], rows: int, columns: int) -> NDArray[np.int64]:
    """The runs of {"size", "counts"}, of zeros and of ones by turns; MaskError unless they fill the picture."""
    if coded.get("size") != [rows, columns]:
        raise MaskError(f"has run lengths for {coded.get('size')}, where its picture has [{rows}, {columns}] pixels")
    counts = coded.get("counts")
    runs = _numbers(counts) if isinstance(counts, str) else _checked_numbers(counts)
    if len(runs) and (runs.min() < 0 or runs.max() > rows * columns):
        raise MaskError("has a run length below 0 or beyond its picture")
    if runs.sum() != rows * columns:
        raise MaskError(f"has run lengths of {runs.sum()} pixels, where its picture has {rows * columns}")
    return runs


def checked_polygons(polygons: Any, rows: int, columns: int) -> list[list[float]]:
    """The polygons x0 y0 x1 y1 …; MaskError unless each has three points or more, all on or near the picture."""
    if not isinstance(polygons, list) or not polygons:
        raise MaskError("has no outline: neither polygons nor run lengths")
    for polygon in polygons:
        if not isinstance(polygon, list) or not _NUMBERS.issuperset(map(type, polygon)):
            raise MaskError("has a polygon that is no list of numbers")
        if len(polygon) < 6 or len(polygon) % 2:
            points = f"{len(polygon) // 2} points" if len(polygon) % 2 == 0 else f"{len(polygon)} numbers"
            raise MaskError(f"has a polygon of {points}, wanted pairs of numbers for three points or more")
        beyond = max(rows, columns)  # drawing takes memory by the length of the outline
        if not all_finite(polygon):
            raise MaskError("has a polygon with a number that is not finite")
        if min(polygon) < -beyond or max(polygon[::2]) > columns + beyond or max(polygon[1::2]) > rows + beyond:
            raise MaskError("has a polygon far outside its picture")
    return polygons


def all_finite(numbers: Sequence[float]) -> bool:
    """Whether none is NaN, infinite, or a whole number beyond all others."""
    try:
        return all(map(math.isfinite, numbers))
    except OverflowError:
        return False


def rectangles(mask: Mask) -> list[list[float]]:
    """The mask as polygons that become exactly its pixels again: one a run down a column, equal neighbours joined."""
    done: list[list[float]] = []
    open_runs: dict[tuple[int, int], int] = {}
    for column in range(mask.shape[1] + 1):
        runs = _column_runs(mask[:, column]) if column < mask.shape[1] else set()
        for run in sorted(set(open_runs) - runs):
            (top, bottom), left = run, open_runs.pop(run)
            done.append([float(number) for number in (left, top, column, top, column, bottom, left, bottom)])
        open_runs |= {run: column for run in runs if run not in open_runs}
    return done


def _column_runs(column: NDArray[np.uint8]) -> set[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.pad(column.astype(np.int8), 1)))
    return {(int(top), int(bottom)) for top, bottom in edges.reshape(-1, 2)}


def _filled(runs: NDArray[np.int64], rows: int, columns: int) -> Mask:
    values = (np.arange(len(runs)) % 2).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(values, runs).reshape(columns, rows).T)


def _drawn(polygons: list[list[float]], rows: int, columns: int) -> Mask:
    from faster_coco_eval.core import mask as coco  # compiled, and loaded only where it is needed

    coded: Any = coco.frPyObjects([[float(number) for number in polygon] for polygon in polygons], rows, columns)
    return np.ascontiguousarray(coco.decode(coco.merge(coded)))


def _checked_numbers(counts: Any) -> NDArray[np.int64]:
    if not isinstance(counts, Sequence) or not all(type(count) is int and abs(count) < 2**40 for count in counts):
        raise MaskError("has run lengths that are neither text nor whole numbers")
    return np.array(counts, dtype=np.int64)


def _numbers(counts: str) -> NDArray[np.int64]:
    """Run lengths out of their text: 5 bits a character, lowest first, the 6th says that more follow.

    From the fourth on each is written as the difference to the run before the last.
    """
    if not counts.isascii():
        raise MaskError("has run lengths in characters that are none of COCO's")
    codes = np.frombuffer(counts.encode(), dtype=np.uint8).astype(np.int64) - 48
    if not len(codes):
        return codes
    last = codes & 32 == 0
    if codes.min() < 0 or codes.max() > 63 or not last[-1]:
        raise MaskError("has run lengths that are cut off, or in characters that are none of COCO's")
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    lengths = np.diff(np.append(starts, len(codes)))
    if lengths.max() > _MOST_DIGITS:
        raise MaskError("has a run length that is too large")
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((codes & 31) << shifts, starts)
    numbers -= np.where(codes[last] & 16, np.int64(1) << (5 * lengths), 0)
    numbers[1::2] = numbers[1::2].cumsum()
    numbers[2::2] = numbers[2::2].cumsum()
    return numbers
