"""Bad input: one ValueError that says what was got, what was wanted and the way out."""

import pytest
import torch

from lambdanets.ops import Problem, apply_lambdas, explain

B, H, K, V, U, SIZE = 2, 3, 4, 5, 2, (6, 7)


def call(**changes):
    arguments = {
        "query": torch.randn(B, H, K, *SIZE),
        "key": torch.randn(B, K, U, *SIZE),
        "value": torch.randn(B, V, U, *SIZE),
        "table": torch.randn(K, U, 3, 5),
        **changes,
    }
    return apply_lambdas(**arguments)


WRONG = {
    "even scope": ({"table": torch.randn(K, U, 4, 5)}, r"scope \(4, 5\).*odd.*use 3 or 5"),
    "table axes": ({"table": torch.randn(K, U, 3)}, r"table of shape \(4, 2, 3\).*2 odd sides"),
    "table depth": ({"table": torch.randn(K + 1, U, 3, 3)}, r"table of shape.*\(k, u, \*R\) = \(4, 2"),
    "query axes": ({"query": torch.randn(B, H, K)}, r"query of shape \(2, 3, 4\).*one to three map axes"),
    "value axes": ({"value": torch.randn(B, V, U, 6)}, r"value of shape.*same 2 map axes"),
    "key shape": ({"key": torch.randn(B, K, U, 7, 6)}, r"key of shape \(2, 4, 2, 7, 6\).*\(2, 4, 2, 6, 7\)"),
    "batch": ({"value": torch.randn(B + 1, V, U, *SIZE)}, r"batches 2 \(query\) and 3 \(value\)"),
    "dtypes": ({"value": torch.randn(B, V, U, *SIZE).double()}, r"float32.*float64.*cast"),
    "integers": ({"table": torch.ones(K, U, 3, 3, dtype=torch.long)}, r"table of dtype torch.int64.*cast"),
    "complex": ({"key": torch.ones(B, K, U, *SIZE, dtype=torch.cfloat)}, r"key of dtype torch.complex64"),
    "empty batch": ({"query": torch.randn(0, H, K, *SIZE)}, r"empty query of shape \(0,"),
    "empty map": ({"value": torch.randn(B, V, U, 0, 7)}, r"empty value"),
    "nothing to do": ({"key": None, "table": None}, r"neither key nor table"),
    "other map": (
        {"value": torch.randn(B, V, U, 7, 6), "key": None},
        r"query map \(6, 7\) and a context map \(7, 6\).*table=None",
    ),
    "context mask shape": ({"context_mask": torch.ones(B, 7, 6, dtype=torch.bool)}, r"context_mask.*\(2, 6, 7\)"),
    "context mask dtype": ({"context_mask": torch.ones(B, *SIZE)}, r"context_mask of dtype torch.float32.*bool"),
    "pair mask shape": ({"pair_mask": torch.ones(42, 41, dtype=torch.bool)}, r"pair_mask.*\(42, 42\) or \(2, 42, 42\)"),
    "pair mask name": ({"pair_mask": "casual"}, r"pair_mask='casual'.*'causal'"),
    "causal map": ({"pair_mask": "causal"}, r"causal.*one map axis"),
    "order": ({"impl": "densee"}, r"impl='densee'.*auto, reference, dense"),
    "normalisation": ({"normalize_keys": "sofmax"}, r"normalize_keys='sofmax'.*'softmax'"),
    "order and pair mask": (
        {"impl": "dense", "pair_mask": torch.ones(42, 42, dtype=torch.bool)},
        r"impl='dense' cannot.*use one of auto, reference",
    ),
    "device": ({"table": torch.empty(K, U, 3, 3, device="meta")}, r"table on meta and a query on cpu"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_named(name):
    changes, message = WRONG[name]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call(**changes)


def test_unchanged_call_is_right():
    assert call().shape == (B, H, V, *SIZE)


def test_named_order_never_falls_back():
    three = {
        "query": torch.randn(1, 1, 2, 2, 2, 2),
        "key": None,
        "value": torch.randn(1, 2, 1, 2, 2, 2),
        "table": torch.randn(2, 1, 3, 3, 3),
    }
    with pytest.raises(ValueError, match=r"impl='convolution' cannot.*1 or 2 map axes.*dense"):
        apply_lambdas(**three, impl="convolution")


def test_explain_wants_a_problem_or_tensors():
    with pytest.raises(ValueError, match="without a value"):
        explain(torch.randn(B, H, K, *SIZE))
    with pytest.raises(ValueError, match="odd"):
        explain(torch.empty(1, 1, 2, 3), None, torch.empty(1, 2, 1, 3), torch.empty(2, 1, 2))
    assert "auto" in str(explain(Problem(b=1, v=4, query_size=(3,), context_size=(3,), scope=(3,))))
