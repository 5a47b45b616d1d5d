"""What `fourier_rows` costs: each kind of work by itself, since they reach different shares of the machine's rate."""

from lambdanets.ops.cost import Cost, Prices, Work, predicted
from lambdanets.ops.impl.fourier_rows.frame import Frame
from lambdanets.ops.impl.fourier_rows.order import NAME
from lambdanets.ops.problem import Problem

NARROW = 12
"""Columns of a product at which fetching its other factor takes as long as multiplying."""

PRICES: Prices = {
    "rows": (1e-11, 3.7e-11), "read": (1.1e-10, 7.7e-10), "table": (6.2e-11, 1.4e-10), "spectra": (3.6e-09, 6.3e-09),
    "columns": (1.3e-11, 2.7e-11), "applied": (1.1e-10, 1.7e-10), "moved": (5e-10, 1.2e-09),
    "laid out": (1.2e-09, 2.7e-09), "steps": (1.8e-05, 7.1e-05), "groups": (7.5e-06, 1.2e-05),
    "images": (1.2e-06, 1.4e-05), "setup": (0.00025, 0.00023), "small rows": (2e-11, 6.2e-11),
    "blocks": (1.9e-11, 5.5e-11),
}  # fmt: skip
"""Of a multiply-add over rows, inside blocks, over columns, over blocks and with a query, and of one that transforms R;
of a number of R̂ that a product reads, of V̂, of the maps and of R̂ laid out; of a step, a group of blocks in a step, an
image and a call."""

PRODUCTS = {"rows": 3, "small rows": 3, "columns": 2, "blocks": 2, "applied": 2}
"""The kinds that are multiply-adds, and how many times the backward pass does each."""


def cost(problem: Problem, backward: bool) -> Cost:
    """Per lambda 4·u·(rows in reach)·period/columns + 2·period multiply-adds; the backward pass 2½ times that."""
    done = work(problem)
    products = sum((times if backward else 1) * done.get(kind, 0) for kind, times in PRODUCTS.items())
    numbers = _numbers(problem, _frame(problem), backward)
    seconds = predicted(problem, NAME, done, PRICES, backward)
    return Cost(round(products), numbers * max(4, problem.itemsize), seconds)


def work(problem: Problem) -> Work:
    """How much of each kind the forward pass does."""
    p, fr = problem, _frame(problem)
    lambdas, pairs = p.b * p.k * p.v, fr.frequencies * fr.block_frequencies
    seen = sum((s.last - s.first) * (s.seen.stop - s.seen.start) * len(fr.planes_seen(s.plane)) for s in fr.steps())
    steps = -(-p.b // fr.images) * fr.planes * -(-fr.block // fr.step)
    rows = 4 * p.u * pairs * seen * lambdas
    done = {
        "rows" if fr.blocks == 1 else "small rows": rows,
        "read": rows / (fr.images * p.v),
        "table": 2 * fr.frequencies * fr.sides[2] * fr.sides[0] * fr.sides[1] * p.k * p.u
        + (4 * pairs * (2 * fr.block_reach + 1) * fr.window * p.k * p.u if fr.blocks > 1 else 0),
        "spectra": p.b * pairs * fr.planes * fr.block * 2 * p.u * p.v,
        "columns": 2 * fr.frequencies * fr.columns * fr.rows * fr.planes * lambdas,
        "applied": p.b * p.n * p.h * p.k * p.v * (1 + NARROW / p.v),
        "moved": p.b * p.n * (p.h * p.k + p.u * p.v + p.h * p.v),
        "laid out": _slab(p, fr),
        "steps": steps * (2 + fr.sides[0]),
        "groups": steps * fr.blocks * (1 + fr.images),
        "images": p.b,
        "setup": 1,
    }
    if fr.blocks > 1:
        done["blocks"] = 4 * pairs * fr.rows * fr.planes * lambdas
    return done


def _frame(p: Problem) -> Frame:
    return Frame.of(p.context_size, p.reach, p.b, p.k, p.v)


def _slab(p: Problem, fr: Frame) -> int:
    """Numbers of R̂ laid out."""
    return fr.sides[0] * fr.frequencies * fr.block_frequencies * 4 * fr.step * p.k * (fr.window + fr.step - 1) * p.u


def _numbers(p: Problem, fr: Frame, backward: bool) -> int:
    """Numbers in memory at a time beside inputs and outputs."""
    width, pairs = fr.images * p.v, fr.frequencies * fr.block_frequencies
    spectrum = pairs * fr.planes * fr.block * 2 * p.u * width
    space = (fr.group * fr.block_frequencies * 2 + fr.columns) * fr.step * p.k * width
    space += fr.numbers_of_lines(p.k * width)
    lines = fr.images * fr.planes * fr.rows * fr.columns * p.h
    if backward:
        return 2 * _slab(p, fr) + 2 * spectrum + space + lines * (2 * p.k + p.v)
    return _slab(p, fr) + spectrum + space + lines * (p.k + p.v)
