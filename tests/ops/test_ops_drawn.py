"""Problems drawn at random: every order against the paper's contraction, output and all gradients, in float64."""

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambdanets import apply_lambdas
from lambdanets.ops import Problem
from lambdanets.ops.choice import ORDERS, why_not

NAMES = ("query", "key", "value", "table")


@st.composite
def problems(draw):
    """Sizes of a problem with a table, up to three axes, tables narrower and wider than the map."""
    letters = {letter: draw(st.integers(1, 5 if letter == "v" else 3), label=letter) for letter in "bhkvu"}
    most = {1: 40, 2: 9, 3: 4}
    size = draw(st.integers(1, 3).flatmap(lambda axes: st.tuples(*[st.integers(1, most[axes])] * axes)), label="size")
    scope = tuple(2 * draw(st.integers(0, side + 1), label="reach") + 1 for side in size)
    hidden = draw(st.sampled_from(["nothing", "some", "everything of an image"]))
    return letters, size, scope, hidden, draw(st.integers(0, 2**16), label="seed")


@settings(max_examples=500, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems())
def test_every_order_agrees_on_drawn_problems(drawn):
    letters, size, scope, hidden, seed = drawn
    b, h, k, v, u = letters.values()
    torch.manual_seed(seed)
    shapes = (b, h, k, *size), (b, k, u, *size), (b, v, u, *size), (k, u, *scope)
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    mask = None if hidden == "nothing" else torch.rand(b, *size) < 0.6
    if hidden == "everything of an image":
        mask[0] = False
    cotangent = torch.randn(b, h, v, *size, dtype=torch.float64)

    def outcome(impl):
        output = apply_lambdas(*tensors, context_mask=mask, impl=impl)
        return output, *torch.autograd.grad(output, tensors, cotangent)

    wanted = outcome("reference")
    problem = Problem(**letters, query_size=size, context_size=size, scope=scope)
    for order in ORDERS:
        if why_not(order, problem) is not None:
            continue
        for what, got, want in zip(("output", *NAMES), outcome(order.NAME), wanted, strict=True):
            scale = want.abs().max().clamp(min=1)
            assert (got - want).abs().max() <= 1e-10 * scale, f"{what} of {order.NAME}"
