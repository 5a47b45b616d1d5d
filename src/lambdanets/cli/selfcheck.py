"""Ten seconds of proof that the layer computes here what its reference computes."""

import time
from collections.abc import Iterator

import torch

from lambdanets.cli.diagnosis import Finding
from lambdanets.ops import Problem
from lambdanets.ops.choice import ORDERS, why_not
from lambdanets.testing import make_inputs, output_and_gradients, relative_error

SECONDS = 10.0
"""After this no further problem is begun."""
ALLOWED = 1e-10
"""Relative rms error in float64: some thousand terms of rounding 1e-16 stay far below it, any mistake far above."""
_SHARED = {"b": 2, "h": 2, "k": 4, "v": 3, "dtype": torch.float64}
PROBLEMS = tuple(
    Problem(**_SHARED, query_size=size, context_size=size, scope=scope, u=u, content=content)
    for size, scope, u, content in (
        ((9, 7), (5, 5), 1, True),
        ((6, 11), (23, 23), 2, True),
        ((33,), (7,), 1, True),
        ((4, 5, 3), (3, 3, 3), 1, True),
        ((16, 16), (15, 15), 1, False),
    )
)
"""Odd maps, a table wider than its map, one to three axes, an intra-depth, positions alone."""


def check_orders() -> Iterator[Finding]:
    """For each order its worst error against the reference, in output and gradients, over the problems it can do."""
    deadline = time.monotonic() + SECONDS
    errors: dict[str, list[float]] = {order.NAME: [] for order in ORDERS}
    for problem in PROBLEMS:
        inputs = make_inputs(problem)
        truth = output_and_gradients(inputs, "reference")
        for order in ORDERS:
            if time.monotonic() < deadline and why_not(order, problem) is None:
                got = output_and_gradients(inputs, order.NAME)
                errors[order.NAME].append(max(relative_error(got[name], truth[name]) for name in truth))
    for name, found in errors.items():
        yield _finding(name, found)


def _finding(name: str, errors: list[float]) -> Finding:
    if not errors:
        reason = why_not(next(order for order in ORDERS if name == order.NAME), PROBLEMS[0])
        return Finding(name=name, value=f"not able: {reason}" if reason else "not reached within the time")
    return Finding(
        name=name,
        value=f"worst error {max(errors):.0e} over {len(errors)} problems",
        well=max(errors) < ALLOWED,
        remedy=f"computes something else than the reference: avoid impl='{name}' here, and report it with this output.",
    )
