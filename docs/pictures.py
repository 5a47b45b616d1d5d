"""Draws the pictures of docs/layer.md from the layer's own equations; run it by hand after a change.

    python docs/pictures.py

Letters: n query positions, m context positions, k key depth, v value depth, r scope. Orange is positive, blue and
hatched negative.
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from lambdanets.report.picture import by_sign

ASSETS = Path(__file__).parent / "assets"
INK, SOFT, PURPLE = "#1c1c1c", "#767676", "#8e2a9c"
CELL = 24
"""Pixels along a number before it is scaled to the page: two stripes of the hatch."""
DPI = 130


def draw_lambda(path: Path) -> None:
    """The content lambda: a context of m positions becomes one k × v matrix, which is applied to every query."""
    torch.manual_seed(3)
    m, n, k, v = 9, 9, 4, 3
    key, value, query = torch.randn(k, m).mul(2).softmax(1), torch.randn(m, v), torch.randn(n, k)
    content = key @ value
    figure = Figure(figsize=(10, 3.3), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 40), ylim=(13.2, 0), aspect="equal")
    axes.set_axis_off()
    _matrix(axes, key, 1.0, 4.5, "K̄ᵀ", "k × m: keys, each row\na softmax over the context")
    _matrix(axes, value, 11.2, 2, "V", "m × v\nvalues")
    _matrix(axes, content, 17.0, 4.5, "λ", "k × v: the context\nas a linear function")
    _matrix(axes, query, 25.5, 2, "Q", "n × k: a query\nfor each position")
    _matrix(axes, content, 31.0, 4.5, "λ", "the same\nfor all")
    _matrix(axes, query @ content, 36.0, 2, "Y", "n × v\nthe output")
    for x, sign in ((10.55, "·"), (15.6, "="), (30.2, "·"), (35.0, "=")):
        axes.text(x, 6.5, sign, ha="center", va="center", size=19, color=INK)
    axes.annotate("", (24.6, 6.5), (20.9, 6.5), arrowprops={"arrowstyle": "->", "color": SOFT, "lw": 1.6})
    axes.text(22.75, 5.9, "applied to", ha="center", va="bottom", size=9, color=SOFT)
    row = 4  # one query and its output, side by side
    for x, width in ((25.5, k), (36.0, v)):
        axes.add_patch(Rectangle((x, 2 + row), width, 1, fill=False, ec=PURPLE, lw=2.4, zorder=3))
    _save(figure, path)


def draw_offsets(path: Path) -> None:
    """One channel of a position table, and what three query positions take from it: R[m − n], nothing outside."""
    size, r = (7, 9), 5
    table = torch.randn(r, r, generator=torch.Generator().manual_seed(8)).numpy()
    figure = Figure(figsize=(10, 2.6), dpi=DPI)
    gaps = {"left": 0.03, "right": 0.99, "bottom": 0.03, "top": 0.88, "wspace": 0.12}
    panels = figure.subplots(1, 4, width_ratios=(r + 0.6, *3 * (size[1],)), gridspec_kw=gaps)
    strength = float(np.abs(table).max())
    _cells(panels[0], table, strength)
    panels[0].set_xticks(range(r), range(-(r // 2), r // 2 + 1), size=9)
    panels[0].set_yticks(range(r), range(-(r // 2), r // 2 + 1), size=9)
    panels[0].set_title("R, by offset", size=10, color=INK)
    _frame(panels[0], r // 2, r // 2)
    for panel, (y, x), words in zip(
        panels[1:], ((3, 4), (3, 7), (0, 0)), ("n in the middle", "n near the edge", "n in the corner"), strict=True
    ):
        _cells(panel, _placed(table, size, y, x), strength)
        panel.set(xticks=[], yticks=[])
        panel.set_title(f"the map m, {words}", size=10, color=INK)
        _frame(panel, y, x)
    _save(figure, path)


def _placed(table: NDArray[np.float32], size: tuple[int, int], y: int, x: int) -> NDArray[np.float32]:
    """R[m − n] for every m of the map, 0 outside of the window."""
    reach = len(table) // 2
    rows, columns = (np.arange(side) - place + reach for side, place in zip(size, (y, x), strict=True))
    inside = [(offsets >= 0) & (offsets < len(table)) for offsets in (rows, columns)]
    values = table[np.ix_(rows.clip(0, 2 * reach), columns.clip(0, 2 * reach))]
    return values * np.outer(*inside)


def _matrix(axes: Axes, values: torch.Tensor, x: float, y: float, name: str, words: str) -> None:
    rows, columns = values.shape
    strength = float(values.abs().max())
    cells = by_sign(values.numpy(), values.abs().numpy() / strength, CELL)
    axes.imshow(cells, extent=(x, x + columns, y + rows, y))
    _grid(axes, x, y, rows, columns)
    axes.text(x + columns / 2, 1.2, name, ha="center", va="center", size=15, color=INK)
    axes.text(x + columns / 2, 11.4, words, ha="center", va="top", size=8.5, color=SOFT)


def _cells(axes: Axes, values: NDArray[np.float32], strength: float) -> None:
    rows, columns = values.shape
    axes.imshow(by_sign(values, np.abs(values) / strength, CELL), extent=(-0.5, columns - 0.5, rows - 0.5, -0.5))
    _grid(axes, -0.5, -0.5, rows, columns)
    axes.tick_params(length=0, colors=SOFT)
    axes.spines[:].set_visible(False)


def _grid(axes: Axes, x: float, y: float, rows: int, columns: int) -> None:
    for row in range(rows):
        for column in range(columns):
            axes.add_patch(Rectangle((x + column, y + row), 1, 1, fill=False, ec="#c9c9c9", lw=0.7))


def _frame(axes: Axes, y: int, x: int) -> None:
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, ec=PURPLE, lw=2.6, zorder=3))


def _save(figure: Figure, path: Path) -> None:
    figure.set_facecolor("white")
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None})


PICTURES = {"lambda.png": draw_lambda, "offsets.png": draw_offsets}
"""File in docs/assets → what draws it."""

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        draw(ASSETS / name)
