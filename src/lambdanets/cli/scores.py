"""What `evaluate` has to say, for programs and for people."""

from collections.abc import Mapping
from typing import Any

from lambdanets.finished import FinishedRun
from lambdanets.printable import printable
from lambdanets.report.files import ReportFiles
from lambdanets.report.judgement import Judgement

MOST_MIXED = 5
"""Classes named that a class was taken for; the most frequent ones."""
MOST_NOTES = 20
"""Unreadable images named to people; programs are told all."""


def scores_of(judgement: Judgement, run: FinishedRun, split: str, *, own_data: bool) -> dict[str, Any]:
    """The counts, with the names that result.json uses too; `as_recorded` is None for data that is not the run's."""
    low, high = judgement.interval
    recorded = judgement.correct == run.result.get(f"{split}_correct")
    return {
        "run": str(run.folder.path),
        f"{split}_accuracy": judgement.correct / judgement.total,
        f"{split}_accuracy_interval": [low, high],
        f"{split}_correct": judgement.correct,
        f"{split}_top5_correct": judgement.top5_correct,
        f"{split}_images": judgement.total,
        f"{split}_calibration_error": judgement.calibration_error,
        "unreadable": list(judgement.notes),
        "classes": {
            name: {"images": int(total), "right": int(right)}
            for name, total, right in zip(
                run.class_names, judgement.class_totals, judgement.confusion.diagonal(), strict=True
            )
        },
        "as_recorded": recorded if own_data else None,
    }


def scores_by_size(judgements: Mapping[int, Judgement]) -> list[dict[str, Any]]:
    """The counts at each resolution."""
    return [
        {
            "image_size": side,
            "correct": judgement.correct,
            "top5_correct": judgement.top5_correct,
            "images": judgement.total,
            "calibration_error": judgement.calibration_error,
        }
        for side, judgement in judgements.items()
    ]


def describe_scores(scores: dict[str, Any], judgement: Judgement, run: FinishedRun, split: str) -> str:
    """Accuracy, its interval, each class, what could not be read, whether it is what the run itself had recorded."""
    low, high = judgement.interval
    total = judgement.total
    lines = [
        f"{split} accuracy {judgement.correct / total:.2%}, 95 % interval {low:.1%} to {high:.1%} "
        f"({judgement.correct} of {total} images)",
        f"top-5 {judgement.top5_correct / total:.2%} ({judgement.top5_correct} of {total}), "
        f"calibration error {judgement.calibration_error:.2%}",
        "",
        *_class_table(judgement, run.class_names),
        *_unreadable(judgement),
    ]
    if scores["as_recorded"] is not None:
        recorded = run.result.get(f"{split}_correct")
        lines += ["", "As the run recorded." if scores["as_recorded"] else f"The run had recorded {recorded} right."]
    page = ReportFiles(run.folder.path).page
    return "\n".join([*lines, *([f"report  {printable(page)}"] if page.exists() else [])])


def describe_sizes(judgements: Mapping[int, Judgement]) -> str:
    """A line a resolution."""
    lines = ["", "size    top-1    top-5  calibration error"]
    for side, judgement in judgements.items():
        shares = (judgement.correct / judgement.total, judgement.top5_correct / judgement.total)
        lines.append(f"{side:>4}  {shares[0]:>7.2%}  {shares[1]:>7.2%}  {judgement.calibration_error:>17.2%}")
    return "\n".join(lines)


def _class_table(judgement: Judgement, names: tuple[str, ...]) -> list[str]:
    shown = [printable(name) for name in names]
    width = max(5, *(len(name) for name in shown))
    lines = [f"{'class':>{width}}  images  right  taken for"]
    for number, (row, total) in enumerate(zip(judgement.confusion, judgement.class_totals, strict=True)):
        mixed = sorted(((-int(count), other) for other, count in enumerate(row) if count and other != number))
        others = [f"{shown[other]} ({-count}×)" for count, other in mixed[:MOST_MIXED]]
        others += [f"{len(mixed) - MOST_MIXED} more"] if len(mixed) > MOST_MIXED else []
        right = row[number] / max(total, 1)
        lines.append(f"{shown[number]:>{width}}  {total:>6}  {right:>5.0%}  {', '.join(others)}".rstrip())
    return lines


def _unreadable(judgement: Judgement) -> list[str]:
    if not judgement.notes:
        return []
    count = len(judgement.notes)
    lines = ["", f"{count} of {judgement.total} images could not be read, and count as wrong:"]
    lines += [printable(note) for note in judgement.notes[:MOST_NOTES]]
    return [*lines, *([f"… and {count - MOST_NOTES} more; --json lists all"] if count > MOST_NOTES else [])]
