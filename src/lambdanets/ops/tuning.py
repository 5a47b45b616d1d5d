"""Measure the orders on this machine: for one problem, or to make the profile that "auto:FILE" chooses by.

Times are medians of interleaved runs, by the `stopwatch` of the problem's device; a profile corrects the built-in
predictions by a factor for every order, pass and kind of work, fitted by least squares of relative errors.
"""

import itertools
import math
import random
import statistics
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lambdanets.ops.choice import ORDERS, Order, why_not
from lambdanets.ops.cost import is_measured
from lambdanets.ops.explanation import Measurement
from lambdanets.ops.layout import in_layout
from lambdanets.ops.memory import extra_bytes
from lambdanets.ops.problem import Problem
from lambdanets.ops.profile import Factors, Profile
from lambdanets.ops.stopwatch import Stopwatch, finish, stopwatch

SLOWER = 12
"""An order predicted to take this many times the best is not measured: it would not be chosen."""
LARGER = 4 * 2**30
"""Nor one that is predicted to need more bytes than this."""
GPU_BATCH = 16
"""Images that problems have on a GPU for each one that they have on a CPU."""
HOPELESS = 10
"""Calls that take this many times what they may take in all are not repeated."""
LIKENESS, LIKENESS_OF_GUESSES = 1, 1e-4
"""How much it counts that a kind of work differs from its whole order: as so many problems mispredicted by as much.

The latter where the built-in prices were not measured on such a device: those of a CPU say little of a GPU.
"""
CALIBRATION_PROBLEMS, CALIBRATION_NUMBERS, CALIBRATION_SEED = 40, 2**20, 77
"""How many make a profile, how many numbers their outputs have at most, and what they are drawn from."""
Calls = dict[tuple[str, bool], Callable[[], object]]
"""(order, backward) → that pass."""
Point = tuple[Mapping[str, float], float]
"""Predicted seconds by kind of work, and the measured seconds, of one pass of one problem."""


def calibration_problems(device: str = "cpu") -> tuple[Problem, ...]:
    """Forty drawn problems, always the same, none of them large; in bf16 on a GPU."""
    draw = random.Random(CALIBRATION_SEED)
    drawn = (drawn_problem(draw, CALIBRATION_NUMBERS) for _ in itertools.count())
    small = (problem for problem in drawn if problem.b * problem.n * problem.h * problem.v <= CALIBRATION_NUMBERS)
    problems = itertools.islice(small, CALIBRATION_PROBLEMS)
    return tuple(problem if device == "cpu" else on_gpu(problem, device) for problem in problems)


def drawn_problem(draw: random.Random, most_numbers: int) -> Problem:
    """One or two axes in three, sides 4 … 96 log-uniform and often unequal, r 3 … global, b 1 … 16, d 64 … 512.

    The batch is halved until the output has so many numbers at most, or one image.
    """
    first = round(4 * 24 ** draw.random())
    size = (first, first if draw.random() < 0.4 else round(4 * 24 ** draw.random()))
    widest = 2 * max(size) - 1
    r = draw.choice([None, 3 + 2 * round((widest - 3) / 2 * draw.random() ** 2)])
    scope = tuple(2 * side - 1 for side in size) if r is None else (r, r)
    d, h = draw.choice([64, 128, 256, 512]), draw.choice([4, 8])
    b = round(16 ** draw.random())
    while b > 1 and b * d * size[0] * size[1] > most_numbers:
        b //= 2
    return Problem(
        b=b, h=h, k=draw.choice([8, 16, 32]), v=d // h, u=draw.choice([1, 1, 4]),
        query_size=size, context_size=size, scope=scope, content=False,
    )  # fmt: skip


def on_gpu(problem: Problem, device: str = "cuda", dtype: torch.dtype = torch.bfloat16) -> Problem:
    """The problem with as many images as keep a GPU busy."""
    return replace(problem, b=GPU_BATCH * problem.b, device=device, dtype=dtype)


def measure_orders(problem: Problem, seconds: float = 0.5, *, memory: bool = False) -> dict[str, Measurement]:
    """Forward and backward of every able order that is worth running, each for about `seconds`; memory if asked.

    On a GPU an order that fails, for want of memory say, is left out with a warning.
    """
    query, value, table, grad = _tensors(problem)
    calls: Calls = {}
    for order in worth_measuring(problem):
        mine: Calls = {
            (order.NAME, False): lambda o=order: o.forward(query, value, table),
            (order.NAME, True): lambda o=order: o.backward(grad, query, value, table, (True, True, True)),
        }
        if problem.device == "cpu" or _runs(mine, problem):
            calls |= mine
    times = _interleaved(calls, seconds, stopwatch(problem.device))
    peaks = {key: extra_bytes(call) for key, call in calls.items()} if memory else {}
    return {
        name: Measurement(
            forward=times[name, False],
            backward=times[name, True],
            extra_bytes=max(peaks[name, False], peaks[name, True]) if memory else None,
        )
        for name in dict.fromkeys(name for name, _ in calls)
    }


def _runs(calls: Calls, problem: Problem) -> bool:
    """Whether every call does; afterwards kernels are compiled and libraries loaded. If not, a warning says why."""
    try:
        for call in calls.values():
            call()
        finish(problem.device)
    except RuntimeError as error:
        what = f"{next(iter(calls))[0]} of {problem} is not measured: {str(error).splitlines()[0]}"
        warnings.warn(what, RuntimeWarning, stacklevel=3)
        return False
    return True


def worth_measuring(problem: Problem) -> list[Order]:
    """The able orders whose predictions are neither too large nor, where such were measured, hopelessly slow."""
    able = [order for order in ORDERS if why_not(order, problem) is None]
    costs = {order.NAME: [order.cost(problem, backward) for backward in (False, True)] for order in able}
    best = min(sum(cost.seconds for cost in both) for both in costs.values()) if costs else 0
    slowest = SLOWER * best if is_measured(problem) else float("inf")
    return [
        order
        for order in able
        if sum(cost.seconds for cost in costs[order.NAME]) < slowest
        and max(cost.extra_bytes for cost in costs[order.NAME]) < LARGER
    ]


def calibrate(start: Profile, problems: Sequence[Problem], seconds: float = 0.15) -> Iterator[Profile]:
    """The profile with factors after each of the problems, the last one being the result; one thread is used."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    orders = {order.NAME: order for order in ORDERS}
    points: dict[str, tuple[list[Point], list[Point]]] = {}
    try:
        for problem in problems:
            for name, measured in measure_orders(problem, seconds).items():
                for backward, took in ((False, measured.forward), (True, measured.backward)):
                    parts = orders[name].cost(problem, backward).parts
                    points.setdefault(name, ([], []))[backward].append((parts, took))
            likeness = LIKENESS if is_measured(problem) else LIKENESS_OF_GUESSES
            yield replace(start, factors={name: _both_factors(both, likeness) for name, both in points.items()})
    finally:
        torch.set_num_threads(threads)


def _both_factors(both: tuple[Sequence[Point], Sequence[Point]], likeness: float) -> Factors:
    forward, backward = (fit_factors(points, likeness) for points in both)
    return {kind: (factor, backward[kind]) for kind, factor in forward.items()}


def fit_factors(points: Sequence[Point], likeness: float = LIKENESS) -> dict[str, float]:
    """By kind of work the factor, none negative, that brings predictions closest to the measured times, relatively.

    Each is held near one common factor, by `likeness`: a kind of which the problems have little keeps to that.
    """
    from scipy.optimize import nnls  # slow to import, and only a profile needs it

    kinds = list(dict.fromkeys(kind for parts, _ in points for kind in parts))
    ratios = [[parts.get(kind, 0) / took for kind in kinds] for parts, took in points]
    shares = torch.tensor(ratios, dtype=torch.float64)
    sums = shares.sum(1)
    common = float(sums.sum() / sums.square().sum())
    near = math.sqrt(likeness) * torch.eye(len(kinds), dtype=torch.float64)
    left, right = torch.cat([common * shares, near]), torch.cat([torch.ones_like(sums), near.sum(0)])
    return {kind: common * float(factor) for kind, factor in zip(kinds, nnls(left, right)[0], strict=True)}


def _tensors(p: Problem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (
        (p.b, p.h, p.k, *p.query_size), (p.b, p.v, p.u, *p.context_size),
        (p.k, p.u, *(p.scope or ())), (p.b, p.h, p.v, *p.query_size),
    )  # fmt: skip
    query, value, table, grad = (torch.randn(shape, generator=generator).to(p.device, p.dtype) for shape in shapes)
    return in_layout(query, True), in_layout(value, True), table, in_layout(grad, True)  # as layers have them


def _interleaved(calls: Calls, seconds: float, timed: Stopwatch) -> dict[tuple[str, bool], float]:
    """Median seconds of each call, run in turn after a warm-up each, at least three times unless that is hopeless."""
    times: dict[tuple[str, bool], list[float]] = {key: [] for key in calls}
    turns = {key: _turns(timed(call), seconds) for key, call in calls.items()}
    for turn in range(max(turns.values(), default=0)):
        for key, call in calls.items():
            if turn < turns[key]:
                times[key].append(timed(call))
    return {key: statistics.median(taken) for key, taken in times.items()}


def _turns(took: float, seconds: float) -> int:
    """How often to time a call that took so long, in about so many seconds."""
    return 1 if took > HOPELESS * seconds else max(3, min(30, int(seconds / max(took, 1e-5))))
