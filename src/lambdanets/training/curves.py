"""curves.png: how loss, accuracy and learning rate went, drawn without a display."""

import math
from pathlib import Path

from lambdanets.training.journal import Record
from lambdanets.whole_file import write_picture


def draw_curves(records: list[Record], path: Path, *, title: str) -> None:
    """Write a PNG of three panels over the epochs; thin lines are single steps, thick ones their running mean."""
    from matplotlib.figure import Figure  # slow to import, and only finished runs need it

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, 3)
    steps = [record for record in records if record["event"] == "step"]
    epochs = [_number(record, "epoch") for record in steps]
    for panel, name in zip(panels, ("loss", "accuracy", "learning_rate"), strict=True):
        values = [_number(record, name) for record in steps]
        if name == "learning_rate":
            panel.plot(epochs, values, color="tab:blue")
        else:
            panel.plot(epochs, values, linewidth=0.6, alpha=0.5, color="tab:blue")
            panel.plot(epochs, running_mean(values), color="tab:blue", label="training (augmented images)")
            panel.legend(frameon=False)
        panel.set(xlabel="epoch", title=name.replace("_", " "))
        panel.grid(alpha=0.3)
    write_picture(path, figure)


def running_mean(values: list[float], memory: float = 0.9) -> list[float]:
    """Each value blended with those before it; the start is not pulled towards zero. No-numbers are passed over."""
    means, total, weight = [], 0.0, 0.0
    for value in values:
        if math.isfinite(value):
            total, weight = memory * total + value, memory * weight + 1
        means.append(total / weight if weight else math.nan)
    return means


def _number(record: Record, name: str) -> float:
    value = record.get(name)
    return float("nan") if value is None else float(value)
