"""What `evaluate` has to say, for programs and for people."""

from typing import Any

from lambdanets.finished import FinishedRun
from lambdanets.printable import printable
from lambdanets.report.files import ReportFiles
from lambdanets.report.judgement import Judgement


def scores_of(judgement: Judgement, run: FinishedRun) -> dict[str, Any]:
    """The counts, with the names that result.json uses too."""
    split, (low, high) = run.task.split, judgement.interval
    return {
        "run": str(run.folder.path),
        f"{split}_accuracy": judgement.correct / judgement.total,
        f"{split}_accuracy_interval": [low, high],
        f"{split}_correct": judgement.correct,
        f"{split}_images": judgement.total,
        "as_recorded": judgement.correct == run.result.get(f"{split}_correct"),
    }


def describe_scores(scores: dict[str, Any], judgement: Judgement, run: FinishedRun) -> str:
    """Accuracy, its interval, each class, and whether it is what the run itself had recorded."""
    split = run.task.split
    low, high = scores[f"{split}_accuracy_interval"]
    lines = [
        f"{split} accuracy {scores[f'{split}_accuracy']:.2%}, 95 % interval {low:.1%} to {high:.1%} "
        f"({judgement.correct} of {judgement.total} images)",
        "",
        "class  images  right  taken for",
    ]
    for name, row in enumerate(judgement.confusion):
        mixed = [f"{other} ({count}×)" for other, count in enumerate(row) if count and other != name]
        lines.append(f"{name:>5}  {row.sum():>6}  {row[name] / max(row.sum(), 1):>5.0%}  {', '.join(mixed)}".rstrip())
    recorded = run.result.get(f"{split}_correct")
    agreement = "As the run recorded." if scores["as_recorded"] else f"The run had recorded {recorded} right."
    page = ReportFiles(run.folder.path).page
    return "\n".join([*lines, "", agreement, *([f"report  {printable(page)}"] if page.exists() else [])])
