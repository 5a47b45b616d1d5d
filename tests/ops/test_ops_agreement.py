"""Every order computes what the reference computes, forward and all gradients; the reference, what the loops do."""

import itertools

import pytest
import torch

from lambdanets.ops import Problem, apply_lambdas
from lambdanets.ops.choice import ORDERS, why_not
from lambdanets.ops.impl import reference
from lambdanets.testing import assert_as_exact_as_reference, make_inputs, output_and_gradients, relative_error


def problem(size, scope, **options):
    sizes = {"b": 2, "h": 3, "k": 4, "v": 5, "query_size": size, "context_size": size, "scope": scope}
    return Problem(**{**sizes, **options})


PROBLEMS = {
    "1d": problem((7,), (3,)),
    "1d-wide-table": problem((5,), (15,), u=4),
    "1d-one-position": problem((1,), (3,)),
    "1d-long": problem((40,), (9,), b=1),
    "1d-causal": problem((7,), (5,), pair_mask="causal", u=2),
    "1d-causal-blocks": problem((150,), (31,), pair_mask="causal", b=2, h=2, k=2, v=3),
    "2d-square": problem((5, 5), (3, 3)),
    "2d-odd-sides": problem((5, 9), (3, 7), u=4),
    "2d-table-larger-than-map": problem((3, 4), (11, 9)),
    "2d-table-larger-in-one-axis": problem((3, 9), (9, 3), u=2),
    "2d-global": problem((6, 5), (11, 9)),
    "2d-single-offset": problem((4, 6), (1, 1)),
    "2d-one-row": problem((1, 8), (3, 5)),
    "2d-one-position": problem((1, 1), (5, 5), b=1),
    "2d-one-of-each": problem((3, 3), (3, 3), b=1, h=1, k=1, v=1),
    "2d-position-only": problem((5, 6), (5, 3), content=False),
    "2d-window-23": problem((17, 14), (23, 23), b=1),
    "3d": problem((3, 4, 5), (3, 3, 3)),
    "3d-mixed": problem((2, 5, 3), (5, 1, 3), u=2, b=1),
}
CONTENT_ONLY = {
    "1d-causal": problem((70,), None, pair_mask="causal", u=2),
    "1d": problem((7,), None),
    "2d-u": problem((4, 6), None, u=4),
    "3d-cross": problem((2, 3, 2), None, context_size=(3, 2, 4)),
    "2d-cross": problem((3, 5), None, context_size=(4, 2)),
}


def able(order, problem):
    return why_not(order, problem) is None


CASES = [
    pytest.param(order.NAME, name, masked, id=f"{order.NAME}-{name}{'-masked' if masked else ''}")
    for order, (name, p), masked in itertools.product(ORDERS, PROBLEMS.items(), (False, True))
    if able(order, p)
]


@pytest.mark.usefixtures("nan_filled_memory")
@pytest.mark.parametrize(("impl", "name", "masked"), CASES)
def test_order_agrees_with_reference_in_float64(impl, name, masked):
    inputs = make_inputs(PROBLEMS[name], context_mask=masked)
    truth, got = output_and_gradients(inputs, "reference"), output_and_gradients(inputs, impl)
    for what in truth:
        assert relative_error(got[what], truth[what]) < 1e-10, what


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("name", CONTENT_ONLY)
def test_content_agrees_with_reference_in_float64(name, masked):
    inputs = make_inputs(CONTENT_ONLY[name], context_mask=masked)
    truth, got = output_and_gradients(inputs, "reference"), output_and_gradients(inputs, "auto")
    for what in truth:
        assert relative_error(got[what], truth[what]) < 1e-10, what


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("impl", [order.NAME for order in ORDERS])
@pytest.mark.parametrize("size", [(40,), (13, 11)], ids=["1d", "2d"])
def test_order_is_as_exact_as_reference_in_low_precision(impl, size, dtype, needs_able):
    p = problem(size, (7,) * len(size), k=16, v=8, h=4, u=2, dtype=dtype)
    needs_able(impl, p)
    inputs = make_inputs(p, context_mask=True, dtype=dtype)
    # The library's convolution sums its weight gradient in an order of its own; and its product over all n·h queries at
    # once, from which d_key comes, runs one long sum where the CPU has no AVX-512.
    factor = 6.0 if impl == "convolution" else 2.0
    assert_as_exact_as_reference(inputs, impl, factor=factor, check=lambda result: result != "d_key")
    assert_as_exact_as_reference(inputs, impl, factor=6.0, check=lambda result: result == "d_key")


@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("normalize_keys", ["softmax", "l2", "none"])
def test_key_normalisations_agree(normalize_keys, impl):
    p = PROBLEMS["2d-square"]
    inputs = make_inputs(p, context_mask=True)

    def call(impl):
        return apply_lambdas(
            inputs.query, inputs.key, inputs.value, inputs.table,
            context_mask=inputs.context_mask, normalize_keys=normalize_keys, impl=impl,
        )  # fmt: skip

    # The same through pair masks, which the reference normalises query by query.
    pairs = inputs.context_mask.flatten(1)[:, None].expand(p.b, p.n, p.m)
    by_pairs = apply_lambdas(*inputs.differentiable, pair_mask=pairs, normalize_keys=normalize_keys)
    torch.testing.assert_close(call(impl), by_pairs)


def loops(inputs, p):
    """The three sums of the paper as nested Python loops over plain numbers."""
    q, value = inputs.query.detach().flatten(3), inputs.value.detach().flatten(3)
    key = None if inputs.key is None else inputs.key.detach().flatten(3)
    out = torch.zeros(p.b, p.h, p.v, p.n, dtype=torch.float64)
    places_n = list(itertools.product(*map(range, p.query_size)))
    places_m = list(itertools.product(*map(range, p.context_size)))
    for b, n in itertools.product(range(p.b), range(p.n)):
        seen = [m for m in range(p.m) if visible(inputs, b, n, m)]
        for k, v in itertools.product(range(p.k), range(p.v)):
            total = 0.0
            for u in range(p.u):
                if key is not None and seen:
                    weights = torch.exp(key[b, k, u, seen] - key[b, k, u, seen].max())
                    total += sum(w * value[b, v, u, m] for w, m in zip(weights / weights.sum(), seen, strict=True))
                for m in seen if inputs.table is not None else ():
                    entry = [y - x + (r - 1) // 2 for x, y, r in zip(places_n[n], places_m[m], p.scope, strict=True)]
                    if all(0 <= e < r for e, r in zip(entry, p.scope, strict=True)):
                        total += inputs.table.detach()[(k, u, *entry)] * value[b, v, u, m]
            for h in range(p.h):
                out[b, h, v, n] += q[b, h, k, n] * total
    return out.unflatten(3, p.query_size)


def visible(inputs, b, n, m):
    if inputs.context_mask is not None and not inputs.context_mask.flatten(1)[b, m]:
        return False
    if isinstance(inputs.pair_mask, str):
        return m <= n
    return inputs.pair_mask is None or bool(inputs.pair_mask[b, n, m])


TINY = {"b": 2, "h": 2, "k": 2, "v": 2}
LOOPED = {
    "1d-u": problem((5,), (3,), u=2, **TINY),
    "1d-causal": problem((5,), (7,), pair_mask="causal", **TINY),
    "2d": problem((3, 4), (3, 5), **TINY),
    "2d-explicit": problem((2, 3), (3, 3), pair_mask="explicit", **TINY),
    "3d": problem((2, 2, 3), (3, 1, 5), **TINY),
    "2d-cross": problem((2, 2), None, context_size=(3, 2), **TINY),
}


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("name", LOOPED)
def test_reference_agrees_with_nested_loops(name, masked):
    inputs = make_inputs(LOOPED[name], context_mask=masked)
    torch.testing.assert_close(inputs.apply("reference").detach(), loops(inputs, LOOPED[name]))


@pytest.mark.parametrize("name", ["1d-causal", "2d-explicit"])
def test_auto_takes_pair_masks(name):
    inputs = make_inputs(LOOPED[name], context_mask=True)
    truth, got = output_and_gradients(inputs, "reference"), output_and_gradients(inputs, "auto")
    for what in truth:
        assert relative_error(got[what], truth[what]) < 1e-10, what


@pytest.mark.parametrize("impl", ["auto", *(order.NAME for order in ORDERS)])
def test_an_image_that_sees_nothing_gets_zeros(impl, needs_able):
    p = PROBLEMS["2d-square"]
    needs_able(impl, p)
    inputs = make_inputs(p, context_mask=True)
    inputs.context_mask[0] = False
    results = output_and_gradients(inputs, impl)
    assert results["output"][0].eq(0).all()
    assert not results["output"][1].eq(0).all()
    for what in ("d_query", "d_key", "d_value"):
        assert results[what][0].eq(0).all(), what
    assert all(result.isfinite().all() for result in results.values())


def test_a_query_that_sees_nothing_gets_zeros():
    inputs = make_inputs(LOOPED["2d-explicit"])
    inputs.pair_mask[0, 2] = False
    results = output_and_gradients(inputs, "auto")
    assert results["output"].flatten(3)[0, ..., 2].eq(0).all()
    assert results["d_query"].flatten(3)[0, ..., 2].eq(0).all()
    assert all(result.isfinite().all() for result in results.values())


@pytest.mark.parametrize("impl", [reference.NAME, *(order.NAME for order in ORDERS)])
def test_hidden_positions_may_hold_anything(impl, needs_able):
    needs_able(impl, PROBLEMS["2d-square"])
    inputs = make_inputs(PROBLEMS["2d-square"], context_mask=True)
    before = output_and_gradients(inputs, impl)
    with torch.no_grad():
        hidden = ~inputs.context_mask[:, None, None]
        inputs.key.masked_fill_(hidden, torch.inf)
        inputs.value.masked_fill_(hidden, torch.nan)
    after = output_and_gradients(inputs, impl)
    for what in ("output", "d_query", "d_table", "d_value"):
        torch.testing.assert_close(after[what], before[what])


@pytest.mark.parametrize("impl", [order.NAME for order in ORDERS])
def test_first_and_second_derivatives(impl, needs_able):
    p = problem((2, 3), (3, 3), b=1, h=2, k=2, v=2, content=False)
    needs_able(impl, p)
    inputs = make_inputs(p)

    def call(query, value, table):
        return apply_lambdas(query, None, value, table, impl=impl)

    tensors = (inputs.query, inputs.value, inputs.table)
    assert torch.autograd.gradcheck(call, tensors)
    assert torch.autograd.gradgradcheck(call, tensors)


@pytest.mark.parametrize("slope", [3.0, -3.0])
def test_causal_content_of_a_steep_key(slope):
    """A key that rises to 600 overflows any single scale; the running maximum keeps every early term."""
    inputs = make_inputs(problem((200,), None, pair_mask="causal", b=1), dtype=torch.float32)
    with torch.no_grad():
        inputs.key.add_(slope * torch.arange(200))
    truth = output_and_gradients(inputs.to(torch.float64), "reference")
    got = output_and_gradients(inputs, "auto")
    for what in truth:
        assert relative_error(got[what], truth[what]) < 1e-4, what


@pytest.mark.parametrize("impl", [order.NAME for order in ORDERS])
def test_entries_that_no_pair_reaches_get_zero_gradient(impl, needs_able):
    p = problem((2, 3), (7, 9))
    needs_able(impl, p)
    gradient = output_and_gradients(make_inputs(p), impl)["d_table"]
    reached = torch.zeros_like(gradient, dtype=torch.bool)
    reached[:, :, 2:5, 2:7] = True
    assert gradient[~reached].eq(0).all()
    assert gradient[reached].ne(0).all()
