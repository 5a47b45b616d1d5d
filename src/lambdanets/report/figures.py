"""The findings as PNG files, for slides and mails; drawn without a display."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lambdanets.report.findings import Findings
from lambdanets.report.mixed_up import MAX_TABLE
from lambdanets.report.page import shorten
from lambdanets.report.picture import NEGATIVE, POSITIVE
from lambdanets.whole_file import write_picture

INK, WRONG = "#1c1c1c", tuple(level / 255 for level in POSITIVE)
BLUES = LinearSegmentedColormap.from_list("blues", ["white", tuple(level / 255 for level in NEGATIVE)])
NUM_SHOWN = 60
"""Images on the page of predictions."""
NUM_WORST = 24
"""Images on the page of mistakes."""
MOST_COLUMNS = 12
"""Images side by side; fewer images make a narrower picture."""
LETTERS = 12
"""Of the name of a class; what is beyond is cut."""
LEAST_WIDTH = 3.6
"""Inches that the title needs."""


def draw_confusion(findings: Findings, path: Path) -> None:
    """Write the table of true against predicted classes; colours by row, so that rare classes show too."""
    counts = findings.judgement.confusion
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap=BLUES, vmin=0, vmax=1)
    if len(counts) <= MAX_TABLE:
        _name_cells(axes, counts, shares, findings.class_names)
    axes.set(xlabel="predicted", ylabel="true", title=_title(findings))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    write_picture(path, figure)


def _name_cells(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64], names: Sequence[str]) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else WRONG if row != column else INK
            weight = "bold" if row != column else "normal"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, weight=weight)
    places = range(len(counts))
    short = [shorten(name, LETTERS) for name in names]
    axes.set_xticks(places, short, rotation=90 if max(map(len, short)) > 2 else 0)
    axes.set_yticks(places, short)


def draw_predictions(findings: Findings, path: Path) -> None:
    """Write a page of test images, evenly spaced through the split, each with what it was taken for."""
    _draw_images(findings, shown_indices(findings.judgement.total), path, _title(findings))


def draw_mistakes(findings: Findings, path: Path) -> None:
    """Write a page of the images that were judged wrongly, the surest mistakes first."""
    mistakes = findings.judgement.mistakes
    title = f"{len(mistakes)} mistakes in {findings.judgement.total} images"
    _draw_images(findings, mistakes[:NUM_WORST], path, title)


def shown_indices(total: int) -> list[int]:
    """Indices spread evenly over a split."""
    return np.unique(np.linspace(0, total - 1, min(NUM_SHOWN, total)).round().astype(int)).tolist()


def _draw_images(findings: Findings, indices: Sequence[int], path: Path, title: str) -> None:
    columns = min(MOST_COLUMNS, max(len(indices), 1))
    rows = max(1, -(-len(indices) // columns))
    width = max(columns * 0.8, LEAST_WIDTH)
    figure = Figure(figsize=(width, rows * 1.05 + 0.6), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    judgement, names = findings.judgement, [shorten(name, LETTERS) for name in findings.class_names]
    is_short = max(map(len, names)) <= 3
    size = 9 if is_short else 6
    for panel, index, picture in zip(panels, indices, findings.pictures(indices), strict=False):
        panel.imshow(np.array(picture), cmap="gray", vmin=0, vmax=255)
        said, true = int(judgement.predictions[index]), int(judgement.labels[index])
        if not judgement.is_readable(index):
            panel.set_title(f"unreadable\n{names[true]}", fontsize=size, color=WRONG, weight="bold", pad=2)
        elif said == true:
            panel.set_title(names[said], fontsize=size + 1, color=INK, pad=2)
        else:
            between = ", is " if is_short else "\nis "
            panel.set_title(names[said] + between + names[true], fontsize=size, color=WRONG, weight="bold", pad=2)
    write_picture(path, figure)


def _title(findings: Findings) -> str:
    own, split = findings.own, findings.task.split
    return f"{own.name}: {own.correct} of {own.total} {split} images right ({own.accuracy:.1%})"
