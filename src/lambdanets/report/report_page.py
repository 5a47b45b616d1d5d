"""report.html: the findings of a run and the run itself, put into words and pictures."""

from collections.abc import Mapping, Sequence
from math import floor
from typing import Any

from lambdanets.report.chart import line_chart
from lambdanets.report.figures import NUM_WORST, shown_indices
from lambdanets.report.findings import Findings, Score
from lambdanets.report.inside import Look
from lambdanets.report.page import points, render
from lambdanets.report.picture import data_uri, on_white, signed
from lambdanets.report.verdict import verdict
from lambdanets.training.curves import running_mean
from lambdanets.training.journal import Record
from lambdanets.training.override import field_names, to_json

MAX_POINTS = 400
"""Points of a curve on the page; longer ones are thinned."""


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
    judgement = findings.judgement
    looked = _items(findings, [findings.looked_at])[0]
    return render(
        "report.html",
        config=findings.task.config,
        split=findings.task.split,
        result=result,
        own=findings.own,
        against=_against(findings),
        ablation=_ablation(findings),
        verdict=verdict(findings),
        num_train=findings.task.num_samples,
        duration=_duration(float(result["train_seconds"] or 0)),
        class_names=findings.class_names,
        confusion=judgement.confusion.tolist(),
        num_mistakes=len(judgement.mistakes),
        worst=_items(findings, judgement.mistakes[:NUM_WORST]),
        shown=_items(findings, shown_indices(judgement.total)),
        looked=looked,
        charts=_charts(records),
        command=command,
        environment=[(name, value) for name, value in environment.items() if name != "command"],
        settings=_settings(findings.task.config),
        folder=folder,
        **_look(findings.look),
    )


def _items(findings: Findings, indices: Sequence[int]) -> list[dict[str, Any]]:
    """Images of the split with what was said of them."""
    names, judgement = findings.class_names, findings.judgement
    items = []
    for index, picture in zip(indices, findings.pictures(indices) if indices else (), strict=True):
        said, true = int(judgement.predictions[index]), int(judgement.labels[index])
        probabilities = judgement.probabilities[index]
        items.append({
            "index": index, "said": names[said], "truth": names[true],
            "sure": float(probabilities[said]), "given": float(probabilities[true]),
            "uri": data_uri(on_white(picture)), "width": picture.shape[-1], "height": picture.shape[-2],
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


def _ablation(findings: Findings) -> dict[str, Any]:
    """The network beside itself without positions."""
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


def _charts(records: Sequence[Record]) -> list[tuple[str, str]]:
    steps = [record for record in records if record["event"] == "step"]
    steps = steps[:: -(-len(steps) // MAX_POINTS) or 1]
    if len(steps) < 2:
        return []
    epochs = [_number(record, "epoch") for record in steps]
    charts = []
    for title in ("loss", "accuracy", "learning rate"):
        values = [_number(record, title.replace(" ", "_")) for record in steps]
        lines = {"mean": values} if title == "learning rate" else {"each": values, "mean": running_mean(values)}
        if title == "accuracy":
            lines = {name: [100 * value for value in line] for name, line in lines.items()}
        heading = "Accuracy, %" if title == "accuracy" else title.capitalize()
        charts.append((heading, line_chart(epochs, lines, x_label="epoch", label=f"{title} by epoch")))
    return charts


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


def _number(record: Record, name: str) -> float:
    value = record.get(name)
    return float("nan") if value is None else float(value)
