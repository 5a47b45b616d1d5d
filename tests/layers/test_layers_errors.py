"""What the layer refuses, and that it says what it wanted."""

import copy

import pytest
import torch

from lambdanets.layers import PositionTable

WRONG = {
    "even scope": ({"scope": 4}, r"scope \(4, 4\).*odd.*use 3 or 5"),
    "sides": ({"scope": (3, 5, 3)}, r"3 sides.*2 axes"),
    "heads": ({"num_heads": 3}, r"dim_out=8 and num_heads=3.*num_heads=2"),
    "axes": ({"num_axes": 4}, r"num_axes=4.*1, 2 or 3"),
    "nothing": ({"scope": None, "content": False}, "leaves nothing"),
    "order": ({"impl": "fast"}, r"impl='fast'"),
    "no profile": ({"impl": "auto:nowhere.json"}, r"profile 'nowhere.json'.*lambdanets tune"),
    "normalisation": ({"normalize_keys": "max"}, r"normalize_keys='max'"),
    "zero": ({"dim_intra": 0}, r"dim_intra=0.*1 or more"),
    "no stride": ({"stride": 1.5}, r"stride=1.5"),
    "no width": ({"dim_out": 0}, r"dim_out=0"),
    "scope type": ({"scope": True}, r"scope.*True"),
    "table depth": ({"table": PositionTable(5, 1, 3)}, r"\(5, 1\).*\(3, 1\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options_are_named(layer, name):
    options, message = WRONG[name]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        layer(**options)


def test_wrong_inputs_are_named(layer):
    with pytest.raises(ValueError, match=r"x of shape \(2, 7, 4, 4\).*\(batch, 8"):
        layer()(torch.randn(2, 7, 4, 4))
    with pytest.raises(ValueError, match=r"2 map axes"):
        layer()(torch.randn(2, 8, 4))
    with pytest.raises(ValueError, match=r"no context.*dim_context=5"):
        layer(dim_context=5)(torch.randn(2, 8, 4, 4))
    with pytest.raises(ValueError, match=r"empty"):
        layer().eval()(torch.randn(0, 8, 4, 4))


REFUSED = {
    "mask of another map": ({"context_mask": torch.ones(2, 5, 4, dtype=torch.bool)}, r"context_mask of shape"),
    "float mask": ({"context_mask": torch.ones(2, 4, 5)}, r"context_mask of dtype"),
    "list mask": ({"context_mask": [True]}, r"context_mask of type list"),
    "false pair mask": ({"pair_mask": False}, r"pair_mask of type bool"),
    "pair mask shape": ({"pair_mask": torch.ones(3, 3, dtype=torch.bool)}, r"pair_mask of shape"),
    "another map": ({"context": torch.randn(2, 8, 3, 3)}, r"context map \(3, 3\)"),
    "another batch": ({"context": torch.randn(1, 8, 4, 5)}, r"batches 2 \(x\) and 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_call_leaves_the_layer_as_it_was(layer, name):
    arguments, message = REFUSED[name]
    one = layer()
    before = copy.deepcopy(one.state_dict())
    with pytest.raises(ValueError, match=f"(?s){message}"):
        one(torch.randn(2, 8, 4, 5), **arguments)
    torch.testing.assert_close(one.state_dict(), before)
