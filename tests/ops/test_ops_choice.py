"""The choice is a pure function of the problem, and `explain` says what runs."""

import dataclasses

import pytest
import torch

from lambdanets.ops import Problem, apply_lambdas, explain
from lambdanets.ops.choice import ORDERS, choose, why_not


def problem(size=(8, 8), scope=(5, 5), **options):
    return Problem(**{"b": 2, "v": 8, "query_size": size, "context_size": size, "scope": scope, **options})


PROBLEMS = {
    "small": problem(),
    "large": problem((64, 64), (23, 23), b=8, v=64),
    "narrow": problem((32, 32), (3, 3), b=4, v=64),
    "3d": problem((4, 4, 4), (3, 3, 3)),
    "1d": problem((100,), (9,)),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_explain_names_the_order_that_runs(name, monkeypatch):
    small = dataclasses.replace(PROBLEMS[name], b=1, v=2)
    ran = []
    for order in ORDERS:
        for step in ("forward", "backward"):
            original = getattr(order, step)
            monkeypatch.setattr(
                order, step, lambda *a, o=original, n=order.NAME, s=step: (ran.append((s, n)), o(*a))[1]
            )
    query = torch.randn(1, small.h, small.k, *small.query_size, requires_grad=True)
    value = torch.randn(1, 2, 1, *small.query_size)
    table = torch.randn(small.k, 1, *small.scope)
    explanation = explain(query, None, value, table)
    apply_lambdas(query, None, value, table).sum().backward()
    assert ran == [("forward", explanation.chosen), ("backward", explanation.chosen_backward)]


@pytest.mark.parametrize("name", PROBLEMS)
def test_auto_takes_the_cheapest_able_order(name):
    p = PROBLEMS[name]
    for backward in (False, True):
        chosen = choose(p, backward)
        assert why_not(chosen, p) is None
        able = [order for order in ORDERS if why_not(order, p) is None]
        assert chosen.cost(p, backward).seconds == min(order.cost(p, backward).seconds for order in able)


@pytest.mark.parametrize("name", PROBLEMS)
def test_kernels_for_gpus_are_never_taken_on_a_cpu(name):
    kernels = next(order for order in ORDERS if order.NAME == "triton")
    assert why_not(kernels, PROBLEMS[name]) == "the tensors are on cpu; its fused kernels need an NVIDIA GPU"
    row = next(line for line in str(explain(PROBLEMS[name])).splitlines() if line.startswith("triton"))
    assert "no: the tensors are on cpu" in row


def test_explanation_lists_every_order_and_why_not():
    text = str(explain(PROBLEMS["3d"]))
    for order in ORDERS:
        assert order.NAME in text
    assert "no: 3-D convolutions" in text
    explicit = str(explain(problem((9,), (5,), pair_mask="explicit")))
    assert "only reference takes an explicit pair mask" in explicit


def test_explain_takes_meta_tensors():
    meta = explain(
        torch.empty(8, 4, 16, 64, 64, device="meta"),
        torch.empty(8, 16, 1, 64, 64, device="meta"),
        torch.empty(8, 64, 1, 64, 64, device="meta"),
        torch.empty(16, 1, 23, 23, device="meta"),
    )
    assert meta.problem.n == 4096
    assert "23×23" in str(meta)


def test_content_only_needs_no_order():
    assert explain(problem(scope=None)).chosen == "content"


@pytest.mark.parametrize(("size", "scope"), [((5,), (3,)), ((4, 6), (3, 9)), ((3, 2, 4), (1, 3, 5))])
def test_pairs_counts_the_pairs_inside_the_window(size, scope):
    counted = 1
    for side, r in zip(size, scope, strict=True):
        counted *= sum(abs(m - n) <= r // 2 for n in range(side) for m in range(side))
    assert problem(size, scope).pairs == counted
