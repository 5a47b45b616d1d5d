"""A line chart as SVG text: it takes the page's own letters, and stays sharp on any screen.

Units: the drawing is WIDTH × HEIGHT units; the page scales it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10

WIDTH, HEIGHT = 270, 190
LEFT, RIGHT, TOP, BOTTOM = 50, 8, 8, 36
NUM_TICKS = 4
"""About how many marks an axis has."""
MARK = 8
"""Length of a short mark."""


@dataclass(frozen=True)
class Curve:
    """One line of a chart. It is broken where a value is no number, and where x goes back."""

    name: str
    """Class of the line in the page's style."""
    x: Sequence[float]
    y: Sequence[float]
    has_dots: bool = False
    """Whether each point is a dot too."""


Place = Callable[[float], float]


def line_chart(
    curves: Sequence[Curve],
    *,
    x_label: str,
    label: str,
    marks: Mapping[str, Sequence[float]] | None = None,
    is_log: bool = False,
    from_zero: bool = False,
) -> str:
    """An <svg> of curves over one x axis, logarithmic upwards with `is_log`, beginning at 0 with `from_zero`.

    `marks` are places on the x axis, by the class of their mark: one along the whole height, or short for names that
    begin with "short". `label` says to those who cannot see it what is drawn.
    """
    every_x = [value for curve in curves for value in curve.x]
    values = [value for curve in curves for value in curve.y if isfinite(value) and (value > 0 or not is_log)]
    values += [0.0] if from_zero else []
    low, high = min(values, default=0.1 if is_log else 0), max(values, default=1)
    x_ticks = ticks(min(every_x, default=0), max(every_x, default=1))
    y_ticks = log_ticks(low, high) if is_log else ticks(low, high)
    low, high = min([*y_ticks, low]), max([*y_ticks, high])
    across = _along(min(every_x, default=0), max(every_x, default=1), LEFT, WIDTH - RIGHT)
    up = _along(low, high, HEIGHT - BOTTOM, TOP, is_log=is_log)
    return "".join([
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">',
        *_axes([(tick, across(tick)) for tick in x_ticks], [(tick, up(tick)) for tick in y_ticks], x_label),
        *_marks(marks or {}, across),
        *(part for curve in curves for part in _drawn(curve, across, up, is_log=is_log)),
        "</svg>",
    ])  # fmt: skip


def ticks(low: float, high: float) -> list[float]:
    """Round numbers within low … high, about NUM_TICKS of them."""
    if not high > low:
        return [low]
    unit = 10.0 ** floor(log10((high - low) / NUM_TICKS))
    step = min((unit * factor for factor in (1, 2, 5, 10)), key=lambda size: abs((high - low) / size - NUM_TICKS))
    first = -floor(-low / step)
    return [round(count * step, 12) for count in range(first, floor(high / step) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within low … high > 0; with 2 and 5 between them, or as for a line, where there are too few."""
    exponents = range(floor(log10(low)), floor(log10(high)) + 1)
    for factors in ((1,), (1, 2, 5)):
        found = [m * 10.0**e for e in exponents for m in factors if low <= m * 10.0**e <= high]
        if len(found) > 2 * NUM_TICKS:
            return found[:: -(-len(found) // (2 * NUM_TICKS))]
        if len(found) > 2:
            return found
    return ticks(low, high)


def _along(low: float, high: float, start: float, end: float, *, is_log: bool = False) -> Place:
    """Where on a way from start to end a value between low and high lies."""
    scale = log10 if is_log else float
    first, last = scale(low), scale(high)
    return lambda value: start + (scale(value) - first) / max(last - first, 1e-12) * (end - start)


def _axes(x_ticks: list[tuple[float, float]], y_ticks: list[tuple[float, float]], x_label: str) -> Iterator[str]:
    """Marks with numbers, each given as (number, place)."""
    for tick, y in y_ticks:
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
    for tick, x in x_ticks:
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick:g}</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end" class="axis">{x_label}</text>'


def _marks(marks: Mapping[str, Sequence[float]], across: Place) -> Iterator[str]:
    for name, places in marks.items():
        top = HEIGHT - BOTTOM - MARK if name.startswith("short") else TOP
        for x in sorted({round(across(place)) for place in places}):
            yield f'<line class="{name}" x1="{x}" x2="{x}" y1="{top}" y2="{HEIGHT - BOTTOM}"/>'


def _drawn(curve: Curve, across: Place, up: Place, *, is_log: bool) -> Iterator[str]:
    for piece in _pieces(curve, is_log=is_log):
        places = [(across(x), up(y)) for x, y in piece]
        yield f'<polyline class="{curve.name}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>'
        if curve.has_dots:
            yield from (f'<circle class="{curve.name}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in places)


def _pieces(curve: Curve, *, is_log: bool) -> list[list[tuple[float, float]]]:
    """The points of a curve that hang together."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(curve.x, curve.y, strict=True):
        is_point = isfinite(y) and (y > 0 or not is_log)
        if pieces[-1] and (not is_point or x < pieces[-1][-1][0]):
            pieces.append([])
        if is_point:
            pieces[-1].append((x, y))
    return [piece for piece in pieces if piece]
