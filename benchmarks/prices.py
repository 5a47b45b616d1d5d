"""Fit the built-in prices of every order to this machine: python -m benchmarks.prices [--problems 61] [--seed 101].

Random problems, drawn as `benchmarks.choice` draws its own but from another seed, are measured with one thread; every
able order's prices of each kind of work (see its `work` and `PRICES`) are then fitted to the times, non-negative and by
relative error, so that a small problem counts as much as a large one. Measurements are kept in a file of JSON lines and
a second run goes on where the first one stopped. Prints what to write into the orders, and how good the fit is.
"""

import argparse
import json
import random
import statistics
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls

from benchmarks.choice import random_problem
from lambdanets.ops import Problem
from lambdanets.ops.choice import ORDERS
from lambdanets.ops.cost import Work, total
from lambdanets.ops.tuning import measure_orders

Times = dict[str, tuple[float, float]]
"""Order → seconds forward and backward."""


def main(arguments: Iterable[str] = sys.argv[1:]) -> None:
    """Measure what is missing, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=61)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--measured", type=Path, default=Path("runs/prices.jsonl"))
    options = parser.parse_args(list(arguments))
    torch.set_num_threads(1)
    points = _measure(options.problems, options.seed, options.measured)
    predicted: dict[str, list[list[float]]] = {}
    for order in ORDERS:
        mine = [(problem, times[order.NAME]) for problem, times in points if order.NAME in times]
        if not mine:
            continue
        work = vars(order)["work"]
        only = vars(order).get("BACKWARD_ONLY", ())
        columns = [
            _fit(
                [_without(work(problem), () if side else only) for problem, _ in mine], [took[side] for _, took in mine]
            )
            for side in (0, 1)
        ]
        prices = {kind: (columns[0][0].get(kind, 0.0), columns[1][0].get(kind, 0.0)) for kind in _kinds(mine, work)}
        cells = ", ".join(f'"{kind}": ({one:.2g}, {two:.2g})' for kind, (one, two) in prices.items())
        print(f"{order.NAME}: {len(mine)} problems, rms error {columns[0][1]:.0%} and {columns[1][1]:.0%}\n  {cells}")
        predicted[order.NAME] = [
            [total(work(problem), prices, side == 1) for side in (0, 1)] if order.NAME in times else [np.inf, np.inf]
            for problem, times in points
        ]
    ratios = sorted(
        _ratio(times, {name: rows[i] for name, rows in predicted.items()}) for i, (_, times) in enumerate(points)
    )
    within = sum(ratio <= 1.2 for ratio in ratios)
    print(f"choosing by these: within 20 % of the best order in {within} of {len(ratios)}, worst {ratios[-1]:.2f} ×")


def _measure(count: int, seed: int, path: Path) -> list[tuple[Problem, Times]]:
    """The measured problems; those that the file lacks are run and added to it."""
    draw, points = random.Random(seed), []
    stored = path.read_text().splitlines() if path.exists() else []
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        for index in range(count):
            problem = random_problem(draw)
            if index < len(stored):
                times = {name: (took[0], took[1]) for name, took in json.loads(stored[index]).items()}
            else:
                measured = measure_orders(problem, 0.15)
                times = {name: (took.forward, took.backward) for name, took in measured.items()}
                file.write(json.dumps(times) + "\n")
                file.flush()
                print(f"{index + 1} of {count}", end="\r", file=sys.stderr)
            points.append((problem, times))
    return points


def _fit(work: list[Work], took: list[float]) -> tuple[dict[str, float], float]:
    """The prices, none negative, that bring predictions closest to the times; and their rms relative error."""
    kinds = sorted({kind for counts in work for kind in counts})
    relative = np.array([[counts.get(kind, 0.0) for kind in kinds] for counts in work]) / np.array(took)[:, None]
    scale, weights = relative.mean(0), np.ones(len(took))
    solution = np.zeros(len(kinds))
    for _ in range(20):  # reweighted, so that a few odd times do not bend the rest
        solution = nnls(relative / scale * weights[:, None], weights)[0]
        errors = np.abs(np.log(np.maximum(relative / scale @ solution, 1e-3)))
        weights = 1 / np.sqrt(np.maximum(0.1, errors))
    error = float(np.sqrt(statistics.fmean(np.log(relative / scale @ solution) ** 2)))
    return dict(zip(kinds, solution / scale, strict=True)), error


def _without(work: Work, kinds: Collection[str]) -> Work:
    return {kind: count for kind, count in work.items() if kind not in kinds}


def _ratio(times: Times, predicted: dict[str, list[float]]) -> float:
    """The time of the orders chosen by prediction over that of the best single order."""
    chosen = [min(times, key=lambda name: predicted[name][side]) for side in (0, 1)]
    return sum(times[name][side] for side, name in enumerate(chosen)) / min(sum(took) for took in times.values())


def _kinds(mine: list[tuple[Problem, tuple[float, float]]], work: Any) -> list[str]:
    return list(dict.fromkeys(kind for problem, _ in mine for kind in work(problem)))


if __name__ == "__main__":
    main()
