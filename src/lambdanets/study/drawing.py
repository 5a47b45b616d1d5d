"""The one look of every figure of the study: read in colour, by the colour-blind, and from a grey printer.

Series are told apart by colour (Okabe and Ito), by marker and by dashes at once. Sizes are meant for a page of text:
a figure is 7.2 inches wide, its letters 9 points and more.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from math import log10
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

WIDTH, HEIGHT = 7.2, 3.6
"""Inches."""
DPI = 160
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""Okabe and Ito's, the yellow left out, which paper swallows; grey is the last resort."""
MARKERS = "osD^vXP*"
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1.5, 1.5)),
    (0, (6, 2, 1.5, 2)),
    (0, (8, 3)),
    (0, (3, 1, 1, 1)),
    "-",
    "--",
)
INK, SOFT = "#1c1c1c", "#595959"
_LOOK: dict[Any, Any] = {
    "font.size": 10,
    "font.family": ["DejaVu Sans"],
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dedede",
    "grid.linewidth": 0.8,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
}


@contextmanager
def drawing(
    columns: int = 1, rows: int = 1, *, width: float = WIDTH, height: float = HEIGHT, **subplots: Any
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure and its panels, row by row; what is drawn within the block has the study's look.

    Args:
        columns: panels side by side.
        rows: panels one below the other.
        width: inches, of the whole figure.
        height: inches, of the whole figure.
        subplots: as for matplotlib's `Figure.subplots`: sharex, sharey and so on.
    """
    with rc_context(_LOOK):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        yield figure, list(figure.subplots(rows, columns, squeeze=False, **subplots).ravel())


def series(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of the series with this number, for `Axes.plot`; the same in every panel."""
    place = index % len(COLOURS)
    return {"color": COLOURS[place], "marker": MARKERS[place], "linestyle": DASHES[place]}


def legend_below(figure: Figure, axes: Axes, *, columns: int = 3) -> None:
    """One legend for all panels, below them, from the series of one."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def named_ticks(axes: Axes, places: Sequence[float], names: Sequence[str] | None = None) -> None:
    """Ticks along x at these places and no others, by their numbers or by these names."""
    axes.set_xticks(places, [f"{place:g}" for place in places] if names is None else list(names))
    axes.xaxis.minorticks_off()


def plain_log(axes: Axes, *, along: Literal["x", "y"] = "y") -> None:
    """A logarithmic axis, with plain numbers at 1, 2 and 5 times powers of ten; at fewer where it is long.

    To be called when everything is drawn.
    """
    axes.set(**{f"{along}scale": "log"})
    axis, (low, high) = (axes.yaxis, axes.get_ylim()) if along == "y" else (axes.xaxis, axes.get_xlim())
    decades = log10(high / low)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,g}"))
    axis.minorticks_off()


def as_png(figure: Figure) -> bytes:
    """The figure as a PNG file, drawn without a display."""
    picture = BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    return picture.getvalue()
