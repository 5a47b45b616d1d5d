"""Fit the built-in prices of every order to this machine: python -m benchmarks.prices [--problems 61] [--seed 101].

    python -m benchmarks.prices [--device cuda [--dtype bfloat16]] --write src/lambdanets/ops/measured_prices.py

Random problems, drawn as `benchmarks.choice` draws its own but from another seed, are measured with one thread, or on
the GPU with 16 times the images; every able order's prices of each kind of work (see its `work` and `PRICES`) are then
fitted to the times, non-negative and by relative error, so that a small problem counts as much as a large one.
Measurements are kept in a file of JSON lines and a second run goes on where the first one stopped. Prints the prices
and how good the fit is; `--write` makes the module that holds them, those of other kinds of machines as they were.
"""

import argparse
import json
import random
import statistics
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls

from benchmarks.choice import MOST_NUMBERS
from benchmarks.gpu_calls import release
from benchmarks.harness import want_device
from lambdanets.ops import Problem, measured_prices
from lambdanets.ops.choice import ORDERS
from lambdanets.ops.cost import Prices, Work, machine_of
from lambdanets.ops.tuning import drawn_problem, measure_orders, on_gpu
from lambdanets.study.measuring import cpu_name

Times = dict[str, tuple[float, float]]
"""Order → seconds forward and backward."""
Point = tuple[Problem, Times]
Priced = dict[str, dict[str, tuple[float, float]]]
"""Order → kind of work → seconds, forward and backward."""


def main(arguments: Iterable[str] = sys.argv[1:]) -> None:
    """Measure what is missing, fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=61)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="of the numbers on a GPU")
    parser.add_argument("--measured", type=Path, help="file of the measurements; default: by device in runs/")
    parser.add_argument("--write", type=Path, help="write the prices as this module")
    options = parser.parse_args(list(arguments))
    want_device(options.device)
    torch.set_num_threads(1)
    draw = random.Random(options.seed)
    problems = [drawn_problem(draw, MOST_NUMBERS) for _ in range(options.problems)]
    if options.device != "cpu":
        problems = [on_gpu(problem, options.device, getattr(torch, options.dtype)) for problem in problems]
    name = "prices" if options.device == "cpu" else f"prices_{options.device}_{options.dtype}"
    points = measured(problems, options.measured or Path("runs") / f"{name}.jsonl")
    priced = fitted(points)
    print(goodness(points, priced))
    if options.write:
        key, machine = machine_of(problems[0]), cpu_name() if options.device == "cpu" else torch.cuda.get_device_name()
        machines = {**measured_prices.MACHINES, key: machine}
        options.write.write_text(as_module(machines, {**measured_prices.MEASURED, key: priced}), encoding="utf-8")
        print(f"wrote {options.write}")


def measured(problems: Sequence[Problem], path: Path) -> list[Point]:
    """The measured problems; those that the file lacks are run and added to it."""
    stored, points = path.read_text().splitlines() if path.exists() else [], []
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        for index, problem in enumerate(problems):
            if index < len(stored):
                times = {name: (took[0], took[1]) for name, took in json.loads(stored[index]).items()}
            else:
                times = _times(problem)
                file.write(json.dumps(times) + "\n")
                file.flush()
                release(problem.device)  # raises where the GPU is lost: the next run goes on behind this problem
                print(f"{index + 1} of {len(problems)}", end="\r", file=sys.stderr)
            points.append((problem, times))
    return [point for point in points if point[1]]


def _times(problem: Problem) -> Times:
    return {name: (took.forward, took.backward) for name, took in measure_orders(problem, 0.15).items()}


def fitted(points: Sequence[Point]) -> Priced:
    """The prices of every order that was measured; prints them, and how far off they are."""
    prices: Priced = {}
    for order in ORDERS:
        mine = [(problem, times[order.NAME]) for problem, times in points if order.NAME in times]
        if not mine:
            continue
        work, only = vars(order)["work"], vars(order).get("BACKWARD_ONLY", ())
        columns = [
            _fit(
                [_without(work(problem), () if side else only) for problem, _ in mine], [took[side] for _, took in mine]
            )
            for side in (0, 1)
        ]
        kinds = dict.fromkeys(kind for problem, _ in mine for kind in work(problem))
        prices[order.NAME] = {kind: (columns[0][0].get(kind, 0.0), columns[1][0].get(kind, 0.0)) for kind in kinds}
        cells = ", ".join(f'"{kind}": ({one:.2g}, {two:.2g})' for kind, (one, two) in prices[order.NAME].items())
        print(f"{order.NAME}: {len(mine)} problems, rms error {columns[0][1]:.0%} and {columns[1][1]:.0%}\n  {cells}")
    return prices


def goodness(points: Sequence[Point], prices: Priced) -> str:
    """How well the orders would be chosen by these prices, on the problems they were fitted to."""
    works: dict[str, Any] = {order.NAME: vars(order).get("work") for order in ORDERS}
    ratios = sorted(
        _ratio(times, {name: [_seconds(works[name](problem), prices[name], side) for side in (0, 1)] for name in times})
        for problem, times in points
    )
    within = sum(ratio <= 1.2 for ratio in ratios)
    return f"choosing by these: within 20 % of the best order in {within} of {len(ratios)}, worst {ratios[-1]:.2f} ×"


def as_module(machines: dict[tuple[str, int], str], prices: dict[tuple[str, int], Priced]) -> str:
    """The text of `lambdanets.ops.measured_prices` with these prices."""
    head = Path(measured_prices.__file__).read_text(encoding="utf-8").split("MACHINES", 1)[0]
    lines = ["MACHINES: dict[tuple[str, int], str] = {"]
    lines += [f'    ("{kind}", {itemsize}): "{machine}",' for (kind, itemsize), machine in machines.items()]
    lines += ["}", '"""(kind of machine, bytes of a number) → the one that was measured."""']
    lines += ["MEASURED: dict[tuple[str, int], dict[str, dict[str, tuple[float, float]]]] = {"]
    for (kind, itemsize), orders in prices.items():
        lines.append(f'    ("{kind}", {itemsize}): {{')
        for order, works in orders.items():
            cells = [f'            "{work}": ({one:.2g}, {two:.2g}),' for work, (one, two) in works.items()]
            lines += [f'        "{order}": {{', *cells, "        },"]
        lines.append("    },")
    lines += ["}", '"""(kind of machine, bytes of a number) → order → kind of work → seconds, forward and backward."""']
    return head + "\n".join(lines) + "\n"


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


def _seconds(work: Work, prices: Prices, side: int) -> float:
    return sum(prices[kind][side] * count for kind, count in work.items())


def _without(work: Work, kinds: Collection[str]) -> Work:
    return {kind: count for kind, count in work.items() if kind not in kinds}


def _ratio(times: Times, predicted: dict[str, list[float]]) -> float:
    """The time of the orders chosen by prediction over that of the best single order."""
    chosen = [min(times, key=lambda name: predicted[name][side]) for side in (0, 1)]
    return sum(times[name][side] for side, name in enumerate(chosen)) / min(sum(took) for took in times.values())


if __name__ == "__main__":
    main()
