"""Every order of contraction on one problem: seconds, memory and multiply-adds of its two passes."""

from collections.abc import Callable

import torch
from torch import Tensor

from lambdanets.ops import Problem
from lambdanets.ops.choice import ORDERS, Order, choose, why_not
from lambdanets.ops.layout import in_layout
from lambdanets.ops.memory import extra_bytes
from lambdanets.ops.tuning import LARGER, SLOWER
from lambdanets.study.measuring import clock_of, interleaved, one_thread
from lambdanets.study.part import Answer

ALL_ORDERS: tuple[Order, ...] = ORDERS
"""The orders of PyTorch's own operations, and the kernels for GPUs."""


def time_orders(problem: Problem, seconds: float) -> Answer:
    """By order: seconds, extra bytes and multiply-adds of both passes; and the orders that "auto" takes for the two."""
    query, value, table, grad = tensors(problem)
    calls: dict[str, Callable[[], object]] = {}
    worth = worth_measuring(problem)
    for order in worth:
        calls[f"{order.NAME} forward"] = lambda o=order: o.forward(query, value, table)
        calls[f"{order.NAME} backward"] = lambda o=order: o.backward(grad, query, value, table, (True, True, True))
    with one_thread(), torch.no_grad():
        times = interleaved(calls, seconds=seconds, rounds=3, clock=clock_of(problem.device))
        peaks = {name: extra_bytes(call) for name, call in calls.items()}
    return {
        "orders": {
            order.NAME: {
                way: {
                    "seconds": times[f"{order.NAME} {way}"],
                    "extra_bytes": peaks[f"{order.NAME} {way}"],
                    "multiply_adds": order.cost(problem, way == "backward").multiply_adds,
                }
                for way in ("forward", "backward")
            }
            for order in worth
        },
        "chosen": [choose(problem, backward).NAME for backward in (False, True)],
    }


def worth_measuring(problem: Problem) -> list[Order]:
    """The able orders that are predicted to be neither hopelessly slow nor too large; on a GPU all that fit."""
    able = [order for order in ALL_ORDERS if why_not(order, problem) is None]
    costs = {order.NAME: [order.cost(problem, backward) for backward in (False, True)] for order in able}
    totals = {name: sum(cost.seconds for cost in both) for name, both in costs.items()}
    slowest = SLOWER * min(totals.values()) if problem.device == "cpu" else float("inf")
    return [
        order
        for order in able
        if totals[order.NAME] <= slowest and max(cost.extra_bytes for cost in costs[order.NAME]) < LARGER
    ]


def tensors(p: Problem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query, value, table and the gradient of the output, as layers have them."""
    generator = torch.Generator().manual_seed(0)
    shapes = (
        (p.b, p.h, p.k, *p.query_size), (p.b, p.v, p.u, *p.context_size),
        (p.k, p.u, *(p.scope or ())), (p.b, p.h, p.v, *p.query_size),
    )  # fmt: skip
    drawn = [torch.randn(shape, generator=generator).to(p.device, p.dtype) for shape in shapes]
    query, value, grad = (in_layout(drawn[place], True) for place in (0, 1, 3))
    return query, value, drawn[2], grad
