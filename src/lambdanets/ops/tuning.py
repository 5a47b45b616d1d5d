"""Measure the orders on this machine: for one problem, or to make the profile that "auto:FILE" chooses by.

Times are CPU time, medians of interleaved runs; a profile corrects the built-in predictions of every order and pass by
a factor and an overhead, fitted by least squares of relative errors.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from lambdanets.ops.choice import ORDERS, Order, why_not
from lambdanets.ops.cost import Pace, Profile
from lambdanets.ops.explanation import Measurement
from lambdanets.ops.layout import in_layout
from lambdanets.ops.memory import extra_bytes
from lambdanets.ops.problem import Problem

SLOWER = 12
"""An order predicted to take this many times the best is not measured: it would not be chosen."""
LARGER = 4 * 2**30
"""Nor one that is predicted to need more bytes than this."""


def calibration_problems() -> tuple[Problem, ...]:
    """Problems of many sizes and windows, small enough to be measured together in a minute or two."""
    maps = ((7, 7), (14, 14), (10, 23), (28, 28), (40, 24), (48, 48), (6, 80))
    problems = []
    for index, size in enumerate(maps):
        for r in (3, 7, 15, 2 * max(size) - 1):
            k, v, u = ((16, 64, 1), (8, 32, 1), (16, 16, 4))[(index + r) % 3]
            b = max(1, min(16, 6000 // (size[0] * size[1] * u)))
            scope = (r, r)
            problems.append(Problem(b=b, k=k, v=v, u=u, query_size=size, context_size=size, scope=scope, content=False))
    return tuple(problems)


def measure_orders(problem: Problem, seconds: float = 0.5, *, memory: bool = False) -> dict[str, Measurement]:
    """Forward and backward of every able order that is worth running, each for about `seconds`; memory if asked."""
    query, value, table, grad = _tensors(problem)
    calls: dict[tuple[str, bool], Callable[[], object]] = {}
    for order in worth_measuring(problem):
        calls[order.NAME, False] = lambda o=order: o.forward(query, value, table)
        calls[order.NAME, True] = lambda o=order: o.backward(grad, query, value, table, (True, True, True))
    times = _interleaved(calls, seconds)
    peaks = {key: extra_bytes(call) for key, call in calls.items()} if memory else {}
    return {
        name: Measurement(
            forward=times[name, False],
            backward=times[name, True],
            extra_bytes=max(peaks[name, False], peaks[name, True]) if memory else None,
        )
        for name in dict.fromkeys(name for name, _ in calls)
    }


def worth_measuring(problem: Problem) -> list[Order]:
    """The able orders whose predictions are neither hopelessly slow nor too large."""
    able = [order for order in ORDERS if why_not(order, problem) is None]
    costs = {order.NAME: [order.cost(problem, backward) for backward in (False, True)] for order in able}
    best = min(sum(cost.seconds for cost in both) for both in costs.values()) if costs else 0
    return [
        order
        for order in able
        if sum(cost.seconds for cost in costs[order.NAME]) < SLOWER * best
        and max(cost.extra_bytes for cost in costs[order.NAME]) < LARGER
    ]


def calibrate(machine: str, problems: Sequence[Problem], seconds: float = 0.15) -> Iterator[Profile]:
    """The profile of this machine after each problem, the last one being the result; one thread is used."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    points: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    try:
        for problem in problems:
            for name, measured in measure_orders(problem, seconds).items():
                order = next(order for order in ORDERS if name == order.NAME)
                for backward, took in ((False, measured.forward), (True, measured.backward)):
                    points.setdefault((name, backward), []).append((order.cost(problem, backward).seconds, took))
            yield _fit(machine, points)
    finally:
        torch.set_num_threads(threads)


def _fit(machine: str, points: dict[tuple[str, bool], list[tuple[float, float]]]) -> Profile:
    paces = {key: fit_pace(pairs) for key, pairs in points.items()}
    forward, backward = ({name: pace for (name, back), pace in paces.items() if back is side} for side in (False, True))
    return Profile(machine, forward, backward)


def fit_pace(pairs: Sequence[tuple[float, float]]) -> Pace:
    """The factor and overhead, neither negative, that bring predicted seconds closest to the measured, relatively."""
    slopes = [predicted / took for predicted, took in pairs]
    inverses = [1 / took for _, took in pairs]
    aa, bb = sum(a * a for a in slopes), sum(b * b for b in inverses)
    ab, a1, b1 = sum(a * b for a, b in zip(slopes, inverses, strict=True)), sum(slopes), sum(inverses)
    determinant = aa * bb - ab * ab
    if determinant > 1e-9 * aa * bb:
        factor, overhead = (a1 * bb - b1 * ab) / determinant, (b1 * aa - a1 * ab) / determinant
        if factor > 0 and overhead >= 0:
            return Pace(factor, overhead)
    return Pace(a1 / aa)


def _tensors(p: Problem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (
        (p.b, p.h, p.k, *p.query_size), (p.b, p.v, p.u, *p.context_size),
        (p.k, p.u, *(p.scope or ())), (p.b, p.h, p.v, *p.query_size),
    )  # fmt: skip
    query, value, table, grad = (torch.randn(shape, generator=generator).to(p.dtype) for shape in shapes)
    return in_layout(query, True), in_layout(value, True), table, in_layout(grad, True)  # as layers have them


def _interleaved(calls: dict[tuple[str, bool], Callable[[], object]], seconds: float) -> dict[tuple[str, bool], float]:
    """Median CPU seconds of each call, run in turn after a warm-up each, at least three times."""
    times: dict[tuple[str, bool], list[float]] = {key: [] for key in calls}
    turns = {key: max(3, min(30, int(seconds / max(_timed(call), 1e-5)))) for key, call in calls.items()}
    for turn in range(max(turns.values(), default=0)):
        for key, call in calls.items():
            if turn < turns[key]:
                times[key].append(_timed(call))
    return {key: statistics.median(taken) for key, taken in times.items()}


def _timed(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return max(1e-9, time.process_time() - start)
