"""Does "auto" choose well? python -m benchmarks.choice [--problems 100] [--seed 2026] [--quick].

On random problems, none used for calibration, every able order is measured, forward and backward, interleaved in one
process and one thread. The price of "auto" is the measured forward of the order it takes forward plus the measured
backward of the one it takes backward; it is held against the best single order, measured in the same minute.
Orders that `lambdanets.ops.tuning.worth_measuring` leaves out, by prediction, are counted as worse without being run.
"""

import argparse
import random
import sys
from collections.abc import Iterable

import torch

from benchmarks.harness import environment, require_green, write_report
from lambdanets.ops import Problem
from lambdanets.ops.choice import choose
from lambdanets.ops.tuning import drawn_problem, measure_orders

MOST_NUMBERS = 2**23
"""Of the output of a problem, unless it has a single image."""


def compare(p: Problem, seconds: float) -> tuple[float, str]:
    """The time of "auto" over that of the best order, and the cells of the problem's row in the report."""
    times = measure_orders(p, seconds)
    ahead, back = choose(p).NAME, choose(p, backward=True).NAME
    total = {name: took.forward + took.backward for name, took in times.items()}
    best = min(total, key=total.__getitem__)
    ratio = (times[ahead].forward + times[back].backward) / total[best]
    measured = " ".join(f"{name} {1e3 * took.forward:.1f}+{1e3 * took.backward:.1f}" for name, took in times.items())
    size, r = "×".join(map(str, p.query_size)), "×".join(map(str, p.scope or ()))
    sizes = f"{size} r {r} b {p.b} h {p.h} k {p.k} v {p.v} u {p.u}"
    return ratio, f"{sizes} | {ahead}+{back} | {best} | {ratio:.2f} | {measured}"


def main(arguments: Iterable[str] = sys.argv[1:]) -> None:
    """Measure, print a line a problem and the summary, write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--quick", action="store_true", help="no tests first, no report, fewer repetitions")
    options = parser.parse_args(list(arguments))
    torch.set_num_threads(1)
    if not options.quick:
        require_green("tests/ops")
    draw = random.Random(options.seed)
    lines, ratios = [], []
    for index in range(options.problems):
        ratio, cells = compare(drawn_problem(draw, MOST_NUMBERS), seconds=0.15 if options.quick else 0.4)
        ratios.append(ratio)
        lines.append(f"| {index} | {cells} |")
        print(lines[-1], flush=True)
    within, worst = sum(ratio <= 1.2 for ratio in ratios), max(ratios)
    summary = f"within 20 % of the best: {within} of {len(ratios)}; worst {worst:.2f} ×; seed {options.seed}"
    print(summary)
    if not options.quick:
        head = "| | problem | auto | best | auto / best | measured, ms forward + backward |\n|--:|---|---|---|--:|---|"
        text = "\n".join(["# The choice against the measured best", "", environment(), "", summary, "", head, *lines])
        print(f"wrote {write_report('choice', text + chr(10))}")


if __name__ == "__main__":
    main()
