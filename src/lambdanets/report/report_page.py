"""report.html: the findings of a run and the run itself, put into words and pictures."""

from collections.abc import Mapping, Sequence
from math import floor, isnan
from typing import Any

from lambdanets.report.course import Course
from lambdanets.report.figures import NUM_WORST, shown_indices
from lambdanets.report.findings import Findings, Score
from lambdanets.report.inside import Look
from lambdanets.report.mixed_up import MAX_TABLE, most_confused, weakest_classes
from lambdanets.report.page import percent, points, render
from lambdanets.report.picture import data_uri, signed, thumbnail_uri
from lambdanets.report.verdict import verdict
from lambdanets.training.evaluation import FIVE
from lambdanets.training.journal import Record
from lambdanets.training.override import field_names, to_json
from lambdanets.training.profile import profile_of

PARTS = {
    "data": "waiting for the batch",
    "forward": "",
    "backward": "",
    "optimizer": "limit of the gradient and update",
    "rest": "averaging the weights, counting",
    "keeping": "records and checkpoints",
}
"""The parts of a step, and what they are."""
THUMBNAIL = 112
"""Longest side, in pixels, of a picture on the page."""
NUM_UNREAD = 10
"""Unreadable pictures that are named."""


def report_page(
    findings: Findings,
    *,
    result: Record,
    records: Sequence[Record],
    command: str | None,
    environment: Mapping[str, Any],
    folder: str,
) -> str:
    """The page as HTML."""
    config = findings.task.config
    return render(
        "report.html",
        config=config,
        split=findings.task.split,
        result=result,
        duration=_duration(float(result["train_seconds"] or 0)),
        command=command,
        environment=[(name, value) for name, value in environment.items() if name != "command"],
        settings=_settings(config),
        folder=folder,
        **_judged(findings),
        **_mixed_up(findings),
        **_look(findings.look),
        **_trained(findings, records),
    )


def _judged(findings: Findings) -> dict[str, Any]:
    """How good the network is, and on which images."""
    judgement = findings.judgement
    looked, looked_small = (_items(findings, [findings.looked_at], side)[0] for side in (2 * THUMBNAIL, THUMBNAIL))
    return {
        "own": findings.own,
        "against": _against(findings),
        "ablation": _ablation(findings),
        "verdict": verdict(findings),
        "class_names": findings.class_names,
        "are_digits": findings.are_digits,
        "extra": _extra(findings),
        "unread": judgement.notes,
        "num_unread_shown": NUM_UNREAD,
        "num_mistakes": len(judgement.mistakes),
        "worst": _items(findings, judgement.mistakes[:NUM_WORST]),
        "shown": _items(findings, shown_indices(judgement.total)),
        "looked": looked,
        "looked_small": looked_small,
    }


def _trained(findings: Findings, records: Sequence[Record]) -> dict[str, Any]:
    """How the training went, and what its steps cost."""
    task = findings.task
    course = Course(records=records, num_samples=task.num_samples, batch_size=task.config.batch_size, split=task.split)
    return {
        "num_train": task.num_samples,
        "charts": course.charts,
        "chart_notes": course.notes,
        "profile": profile_of(records),
        "parts": PARTS,
        "on_gpu": task.config.device != "cpu",
    }


def _items(findings: Findings, indices: Sequence[int], side: int = THUMBNAIL) -> list[dict[str, Any]]:
    """Images of the split with what was said of them."""
    names, judgement = findings.class_names, findings.judgement
    items = []
    for index, picture in zip(indices, findings.pictures(indices), strict=True):
        said, true = int(judgement.predictions[index]), int(judgement.labels[index])
        probabilities, is_read = judgement.probabilities[index], judgement.is_readable(index)
        items.append({
            "index": index, "said": names[said], "truth": names[true], "is_read": is_read,
            "is_right": is_read and said == true,
            "sure": float(probabilities[said]), "given": float(probabilities[true]),
            "uri": thumbnail_uri(picture, side), "width": picture.width, "height": picture.height,
        })  # fmt: skip
    return items


def _against(findings: Findings) -> dict[str, Any] | None:
    """The network beside the plain methods."""
    if not findings.baselines:
        return None
    caption = (
        f"Dot: accuracy on the same {findings.own.total} images. Bar: its 95\N{NO-BREAK SPACE}% Wilson interval; where "
        "two bars overlap much, so few images can hardly tell the two apart. The plain methods are scikit-learn's with "
        "its own settings, on the pixels as scanned."
    )
    return _comparison("Against plain methods", findings.own, findings.baselines, caption)


def _ablation(findings: Findings) -> dict[str, Any] | None:
    """The network beside itself without positions."""
    if findings.zeroed is None:
        return None
    lost = findings.own.accuracy - findings.zeroed.accuracy
    caption = (
        "The same weights, but every position table set to zero after training: the network still sees what is in the "
        f"image, no longer where. It loses {points(lost) if lost > 0 else 'nothing'}."
    )
    return _comparison("Without positions", findings.own, [findings.zeroed], caption)


def _comparison(heading: str, own: Score, others: Sequence[Score], caption: str) -> dict[str, Any]:
    ordered = sorted(others, key=lambda score: -score.accuracy)
    scale = _scale(min(score.interval[0] for score in (own, *others)))
    return {"heading": heading, "others": ordered, "caption": caption, **scale}


def _extra(findings: Findings) -> list[tuple[str, str]]:
    """Further facts of the judgement, where there is something to say."""
    judgement, found = findings.judgement, []
    if len(findings.class_names) > 2 * FIVE:
        found.append(("among its first five", percent(judgement.top5_correct / judgement.total)))
    if not isnan(judgement.calibration_error):
        found.append(("calibration error", percent(judgement.calibration_error)))
    if judgement.notes:
        found.append(("unreadable, counted as wrong", f"{len(judgement.notes):,}"))
    return found


def _mixed_up(findings: Findings) -> dict[str, Any]:
    """The table of true against predicted classes; of many classes, those most mixed up and those most often missed."""
    names, counts = findings.class_names, findings.judgement.confusion
    longest = max(map(len, names))
    if len(names) <= MAX_TABLE:
        return {"confusion": counts.tolist(), "pairs": [], "weakest": [], "longest_name": longest}
    weak = weakest_classes(counts.diagonal(), findings.judgement.class_totals, names)
    return {"confusion": None, "pairs": most_confused(counts, names), "weakest": weak, "longest_name": longest}


def _scale(lowest: float) -> dict[str, Any]:
    """An axis from a round number below `lowest` to 1: its marks, and where on it (in %) a share stands."""
    step = 0.1 if lowest < 0.8 else 0.05 if lowest < 0.9 else 0.02 if lowest < 0.96 else 0.01
    start = floor(lowest / step + 1e-9) * step
    count = round((1 - start) / step)
    every = -(-count // 5)
    marks = [1 - place * step for place in range(0, count + 1, every)]
    start = min(marks)

    def along(share: float) -> float:
        """Where a share lies on the scale, in percent of its width."""
        return round((share - start) / max(1 - start, 1e-9) * 100, 2)

    return {"marks": marks[::-1], "along": along}


def _look(look: Look | None) -> dict[str, Any]:
    """The maps of a look as pictures, and where on them its query stands."""
    if look is None:
        return {"look": None}
    rows, columns = look.size
    place = {"left": look.column / columns, "top": look.row / rows, "width": 1 / columns, "height": 1 / rows}
    maps = {
        f"{name}_maps": [] if part is None else [data_uri(signed(m.numpy(), float(part.abs().max()))) for m in part]
        for name, part in (("content", look.content), ("position", look.position))
    }
    return {"look": look, "look_place": ";".join(f"{side}:{share:.4%}" for side, share in place.items()), **maps}


def _settings(config: object) -> list[tuple[str, Any]]:
    """Every field of the config by its dotted name, and its value."""
    rows, stored = [], to_json(config)
    for name in field_names(config):
        value: Any = stored
        for part in name.split("."):
            value = value[part]
        rows.append((name, "none" if value is None or value in ((), {}, []) else value))
    return rows


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
