"""curves.png: how loss, accuracy and learning rate went, drawn without a display."""

import math
from pathlib import Path

from lambdanets.training.journal import Record
from lambdanets.whole_file import write_picture


def draw_curves(records: list[Record], path: Path, *, title: str) -> None:
    """Write a PNG of a panel for each number that was recorded, over the epochs.

    Thin lines are single steps, thick ones their running mean.
    """
    from matplotlib.figure import Figure  # slow to import, and only finished runs need it

    steps = [record for record in records if record["event"] == "step"]
    epochs = [_number(record, "epoch") for record in steps]
    names = [name for name in ("loss", "accuracy", "learning_rate") if any(name in step for step in steps)] or ["loss"]
    figure = Figure(figsize=(4 * len(names), 3.6), layout="constrained")
    figure.suptitle(title)
    for panel, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        values = [_number(record, name) for record in steps]
        if name == "learning_rate":
            panel.plot(epochs, values, color="tab:blue")
        else:
            panel.plot(epochs, values, linewidth=0.6, alpha=0.5, color="tab:blue")
            panel.plot(epochs, running_mean(values), color="tab:blue", label="training (augmented images)")
            panel.legend(frameon=False)
        panel.set(xlabel="epoch", title=spoken(name))
        panel.grid(alpha=0.3)
    write_picture(path, figure)


def spoken(name: str) -> str:
    """The name of a number as people write it: box_ap is box AP."""
    return " ".join(word.upper() if word == "ap" else word for word in name.split("_"))


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
