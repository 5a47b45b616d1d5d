"""A line chart as SVG text: it takes the page's own letters, and stays sharp on any screen.

Units: the drawing is WIDTH × HEIGHT units; the page scales it.
"""

from collections.abc import Mapping, Sequence
from math import floor, isfinite, log10

WIDTH, HEIGHT = 270, 190
LEFT, RIGHT, TOP, BOTTOM = 50, 8, 8, 36
NUM_TICKS = 4
"""About how many marks an axis has."""


def line_chart(x: Sequence[float], lines: Mapping[str, Sequence[float]], *, x_label: str, label: str) -> str:
    """An <svg> of lines over x; each name in `lines` becomes the class of its line. Values that are no number are gaps.

    `label` says to those who cannot see it what is drawn.
    """
    values = [value for line in lines.values() for value in line if isfinite(value)]
    x_ticks, y_ticks = ticks(min(x), max(x)), ticks(min(values, default=0), max(values, default=1))
    low, high = min([*y_ticks, *values]), max([*y_ticks, *values])

    def across(value: float) -> float:
        """Where a value lies from left to right."""
        return LEFT + (value - x[0]) / max(x[-1] - x[0], 1e-12) * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        """Where a value lies from top to bottom."""
        return HEIGHT - BOTTOM - (value - low) / max(high - low, 1e-12) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">']
    for tick in y_ticks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(tick):.1f}" y2="{up(tick):.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{up(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in x_ticks:
        parts.append(f'<text x="{across(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end" class="axis">{x_label}</text>')
    for name, line in lines.items():
        places = [f"{across(a):.1f},{up(b):.1f}" for a, b in zip(x, line, strict=True) if isfinite(b)]
        parts.append(f'<polyline class="{name}" points="{" ".join(places)}"/>')
    return "".join([*parts, "</svg>"])


def ticks(low: float, high: float) -> list[float]:
    """Round numbers within low … high, about NUM_TICKS of them."""
    if not high > low:
        return [low]
    unit = 10.0 ** floor(log10((high - low) / NUM_TICKS))
    step = min((unit * factor for factor in (1, 2, 5, 10)), key=lambda size: abs((high - low) / size - NUM_TICKS))
    first = -floor(-low / step)
    return [round(count * step, 12) for count in range(first, floor(high / step) + 1)]
