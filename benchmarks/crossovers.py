"""Where each order wins: forward + backward of the position part over the side of the map.

    python -m benchmarks.crossovers [--out docs/assets/crossovers.png]

Three windows, d = 256, k = 16, h = 4, u = 1, and as many images as make about 4 096 positions. Orders that are
predicted to be far from the best are not run, so their lines end.
"""

import argparse
import sys
from collections.abc import Iterable

import torch

from benchmarks.harness import environment
from lambdanets.ops import Problem
from lambdanets.ops.choice import choose
from lambdanets.ops.tuning import measure_orders
from lambdanets.study.drawing import series

SIDES = (6, 8, 12, 16, 24, 32, 48, 64)
WINDOWS = {"window 7 × 7": 7, "window 23 × 23": 23, "global": None}


def main(arguments: Iterable[str] = sys.argv[1:]) -> None:
    """Measure, print a table, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="docs/assets/crossovers.png")
    options = parser.parse_args(list(arguments))
    torch.set_num_threads(1)
    print(environment())
    measured: dict[str, dict[int, dict[str, float]]] = {}
    for title, r in WINDOWS.items():
        print(f"\n{title}, nanoseconds a position, forward + backward\n")
        for side in SIDES:
            problem = _problem(side, r)
            times = measure_orders(problem, seconds=0.3)
            row = {name: 1e9 * (t.forward + t.backward) / (problem.b * problem.n) for name, t in times.items()}
            measured.setdefault(title, {})[side] = row
            taken = f"{choose(problem).NAME}+{choose(problem, backward=True).NAME}"
            print(f"{side:>3}²  " + "  ".join(f"{name} {time:,.0f}" for name, time in row.items()) + f"  auto: {taken}")
    draw(measured, options.out)
    print(f"\nwrote {options.out}")


def _problem(side: int, r: int | None) -> Problem:
    scope = (2 * side - 1 if r is None else r,) * 2
    return Problem(
        b=max(1, 4096 // side**2), v=64, query_size=(side, side), context_size=(side, side), scope=scope, content=False
    )


def draw(measured: dict[str, dict[int, dict[str, float]]], path: str) -> None:
    """One panel a window, one line an order, in colours, markers and dashes that print."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    panels = figure.subplots(1, len(measured), sharey=True)
    names = list(dict.fromkeys(name for rows in measured.values() for row in rows.values() for name in row))
    for axes, (title, rows) in zip(panels, measured.items(), strict=True):
        for index, name in enumerate(names):
            points = [(side, row[name] / 1e3) for side, row in rows.items() if name in row]
            xs, ys = zip(*points, strict=True) if points else ((), ())  # an empty line still names its order
            axes.plot(xs, ys, label=name, markersize=4, **series(index))
        axes.set(title=title, xscale="log", yscale="log", xlabel="side of the map")
        axes.set_xticks(SIDES, [str(side) for side in SIDES])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("µs a position, forward + backward")
    panels[-1].legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
