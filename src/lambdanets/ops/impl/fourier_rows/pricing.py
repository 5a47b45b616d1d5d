"""What `fourier_rows` costs: each kind of work by itself, since they reach different shares of the machine's rate."""

from lambdanets.ops.cost import Cost
from lambdanets.ops.impl.fourier_rows.frame import Frame
from lambdanets.ops.problem import Problem

NARROW = 12
"""Columns of a product at which fetching its other factor takes as long as multiplying."""

WORTH = {
    "rows": 1.25, "small rows": 2.4, "columns": 0.9, "blocks": 2.6, "apply": 11.0,
    "moved": 260.0, "laid out": 130.0, "steps": 1.7e6, "groups": 0.7e6, "images": 4.5e6, "calls": 32e6,
}  # fmt: skip
"""Time of one of each, in multiply-adds of a large fp32 matrix product on one core of a 2023 server CPU.

Fitted, non-negative and by relative error, to 58 problems, two thirds of them random: rms error 14 %.
"""

PRODUCTS = {"rows": 3, "small rows": 3, "columns": 2, "blocks": 2, "apply": 2}
"""The kinds that are multiply-adds, and how many times the backward pass does each."""


def cost(problem: Problem, backward: bool) -> Cost:
    """Per lambda 4·u·(rows in reach)·period/columns + 2·period multiply-adds; the backward pass 2½ times that."""
    frame = Frame.of(problem.context_size, problem.reach, problem.b, problem.k, problem.v)
    work = _work(problem, frame)
    times = {kind: PRODUCTS.get(kind, 2) if backward else 1 for kind in work}
    time = sum(WORTH[kind] * times[kind] * count for kind, count in work.items())
    products = sum(times[kind] * round(work[kind]) for kind in PRODUCTS if kind in work)
    numbers = _numbers(problem, frame, backward)
    return Cost(products, numbers * max(4, problem.itemsize), efficiency=products / time)


def _work(p: Problem, fr: Frame) -> dict[str, float]:
    """How much of each kind the forward pass does."""
    lambdas, pairs = p.b * p.k * p.v, fr.frequencies * fr.block_frequencies
    seen = sum((s.last - s.first) * (s.seen.stop - s.seen.start) * len(fr.planes_seen(s.plane)) for s in fr.steps())
    steps = -(-p.b // fr.images) * fr.planes * -(-fr.block // fr.step)
    work = {
        "rows" if fr.blocks == 1 else "small rows": 4 * p.u * pairs * seen * lambdas * (1 + NARROW / (fr.images * p.v)),
        "columns": 2 * fr.frequencies * fr.columns * fr.rows * fr.planes * lambdas,
        "apply": p.b * p.n * p.h * p.k * p.v * (1 + NARROW / p.v),
        "moved": p.b * p.n * (p.h * p.k + p.u * p.v + p.h * p.v),
        "laid out": _slab(p, fr),
        "steps": steps * (2 + fr.sides[0]),
        "groups": steps * fr.blocks * (1 + fr.images),
        "images": p.b,
        "calls": 1,
    }
    if fr.blocks > 1:
        work["blocks"] = 4 * pairs * fr.rows * fr.planes * lambdas
    return work


def _slab(p: Problem, fr: Frame) -> int:
    """Numbers of R̂ laid out."""
    return fr.sides[0] * fr.frequencies * fr.block_frequencies * 4 * fr.step * p.k * (fr.window + fr.step - 1) * p.u


def _numbers(p: Problem, fr: Frame, backward: bool) -> int:
    """Numbers in memory at a time beside inputs and outputs."""
    width, pairs = fr.images * p.v, fr.frequencies * fr.block_frequencies
    spectrum = pairs * fr.planes * fr.block * 2 * p.u * width
    space = (fr.group * fr.block_frequencies * 2 + fr.columns) * fr.step * p.k * width
    if fr.blocks > 1:
        space += fr.frequencies * 2 * fr.blocks * p.k * width
    lines = fr.images * fr.planes * fr.rows * fr.columns * p.h
    if backward:
        return 2 * _slab(p, fr) + 2 * spectrum + space + lines * (2 * p.k + p.v)
    return _slab(p, fr) + spectrum + space + lines * (p.k + p.v)
