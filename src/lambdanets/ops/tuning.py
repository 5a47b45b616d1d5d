"""Measure the orders on this machine: for one problem, or to make the profile that "auto:FILE" chooses by.

Times are medians of interleaved runs, by the `stopwatch` of the problem's device; a profile corrects the built-in
predictions of every order and pass by a factor and an overhead, fitted by least squares of relative errors.
"""

import statistics
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lambdanets.ops.choice import ORDERS, Order, why_not
from lambdanets.ops.cost import Pace, Profile, is_measured
from lambdanets.ops.explanation import Measurement
from lambdanets.ops.layout import in_layout
from lambdanets.ops.memory import extra_bytes
from lambdanets.ops.problem import Problem
from lambdanets.ops.stopwatch import Stopwatch, finish, stopwatch

SLOWER = 12
"""An order predicted to take this many times the best is not measured: it would not be chosen."""
LARGER = 4 * 2**30
"""Nor one that is predicted to need more bytes than this."""
GPU_BATCH = 16
"""Images that problems have on a GPU for each one that they have on a CPU."""
HOPELESS = 10
"""Calls that take this many times what they may take in all are not repeated."""
Calls = dict[tuple[str, bool], Callable[[], object]]
"""(order, backward) → that pass."""


def calibration_problems(device: str = "cpu") -> tuple[Problem, ...]:
    """Problems of many sizes and windows, small enough to be measured together in a minute or two; bf16 on a GPU."""
    maps = ((7, 7), (14, 14), (10, 23), (28, 28), (40, 24), (48, 48), (6, 80))
    problems = []
    for index, size in enumerate(maps):
        for r in (3, 7, 15, 2 * max(size) - 1):
            k, v, u = ((16, 64, 1), (8, 32, 1), (16, 16, 4))[(index + r) % 3]
            b = max(1, min(16, 6000 // (size[0] * size[1] * u)))
            scope = (r, r)
            problems.append(Problem(b=b, k=k, v=v, u=u, query_size=size, context_size=size, scope=scope, content=False))
    return tuple(problem if device == "cpu" else on_gpu(problem, device) for problem in problems)


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


def calibrate(machine: str, problems: Sequence[Problem], seconds: float = 0.15) -> Iterator[Profile]:
    """The profile of the problems' device after each of them, the last one being the result; one thread is used."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    points: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    try:
        for problem in problems:
            for name, measured in measure_orders(problem, seconds).items():
                order = next(order for order in ORDERS if name == order.NAME)
                for backward, took in ((False, measured.forward), (True, measured.backward)):
                    points.setdefault((name, backward), []).append((order.cost(problem, backward).seconds, took))
            yield _fit(machine, problem.device, points)
    finally:
        torch.set_num_threads(threads)


def _fit(machine: str, device: str, points: dict[tuple[str, bool], list[tuple[float, float]]]) -> Profile:
    paces = {key: fit_pace(pairs) for key, pairs in points.items()}
    forward, backward = ({name: pace for (name, back), pace in paces.items() if back is side} for side in (False, True))
    return Profile(machine, forward, backward, device)


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
