import pytest
import torch

from lambdanets import create_model
from lambdanets.layers import LambdaLayer, interactions, lambda_inputs
from lambdanets.ops import Problem
from lambdanets.ops.choice import ORDERS, why_not

LAYERS = {
    "both-parts": {"scope": 5},
    "content-only": {"scope": None},
    "position-only": {"content": False, "scope": 7},
    "table-wider-than-the-map": {"scope": (19, 31)},
    "flat-table": {"scope": (3, 9)},
    "intra-depth": {"scope": 5, "dim_intra": 3},
    "l2-keys": {"normalize_keys": "l2"},
    "other-width": {"dim_out": 24, "num_heads": 8},
}


MAP = Problem(b=2, h=4, k=6, v=3, query_size=(9, 8), context_size=(9, 8), scope=(7, 7))
ABLE = ("reference", *(order.NAME for order in ORDERS if why_not(order, MAP) is None))
"""Orders that compute on this machine's CPU."""


def seen_through(layer: LambdaLayer, *inputs: torch.Tensor, **options: object) -> torch.Tensor:
    """The layer's output put together from what `interactions` says, (b, d, n)."""
    return interactions(layer, *inputs, **options).output().flatten(1, 2)


def make_layer(**options: object) -> LambdaLayer:
    """A layer whose norms have seen data, so that no factor is 1 by chance."""
    layer = LambdaLayer(12, dim_key=6, **options)
    for norm in (layer.norm_query, layer.norm_value):
        torch.nn.init.uniform_(norm.running_mean, -1, 1)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    return layer.eval()


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_weighted_values_are_the_output(name: str) -> None:
    layer, x = make_layer(**LAYERS[name]), torch.randn(2, 12, 5, 7)
    torch.testing.assert_close(seen_through(layer, x), layer(x).flatten(2), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["fp32", "fp64"])
@pytest.mark.parametrize("impl", ABLE)
@torch.no_grad()
def test_weighted_values_are_the_output_of_every_order(impl: str, dtype: torch.dtype, needs_able) -> None:
    needs_able(impl)
    layer, x = make_layer(scope=7, impl=impl).to(dtype), torch.randn(2, 12, 9, 8, dtype=dtype)
    torch.testing.assert_close(seen_through(layer, x), layer(x).flatten(2), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(11,), (3, 4, 5)], ids=["1-D", "3-D"])
@torch.no_grad()
def test_maps_of_any_number_of_axes(size: tuple[int, ...]) -> None:
    layer, x = make_layer(num_axes=len(size), scope=3), torch.randn(1, 12, *size)
    torch.testing.assert_close(seen_through(layer, x), layer(x).flatten(2), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_context_of_its_own() -> None:
    layer = make_layer(dim_context=8, scope=None)
    x, context = torch.randn(2, 12, 5, 7), torch.randn(2, 8, 4, 3)
    torch.testing.assert_close(seen_through(layer, x, context), layer(x, context).flatten(2), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_hidden_positions_have_no_weight() -> None:
    layer, x = make_layer(scope=5), torch.randn(2, 12, 5, 7)
    visible = torch.rand(2, 5, 7) < 0.6
    seen = interactions(layer, x, context_mask=visible)
    hidden = ~visible.flatten(1)[:, None, None, :, None]
    assert seen.weights.masked_select(hidden).abs().max() == 0
    want = layer(x, context_mask=visible).flatten(2)
    torch.testing.assert_close(seen.output().flatten(1, 2), want, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_chosen_queries_are_those_of_all() -> None:
    layer, x = make_layer(scope=5), torch.randn(2, 12, 5, 7)
    everything, some = interactions(layer, x), interactions(layer, x, queries=[33, 0])
    assert some.weights.shape == (2, 4, 2, 35, 1)
    torch.testing.assert_close(some.weights, everything.weights[:, :, [33, 0]])
    assert not torch.equal(some.weights[:, :, 0], some.weights[:, :, 1])


@torch.no_grad()
def test_positions_are_relative_and_content_is_not() -> None:
    """The position part of equal queries moves with the query; the content part is the same for both."""
    layer = make_layer(scope=3)
    x = torch.randn(1, 12, 1, 1).expand(1, 12, 6, 6) + torch.zeros(1, 12, 6, 6)
    seen = interactions(layer, x, queries=[7, 14])
    first, second = (seen.position[0, :, n, :, 0].unflatten(1, (6, 6)) for n in (0, 1))
    torch.testing.assert_close(first[:, :5, :5], second[:, 1:, 1:])
    torch.testing.assert_close(seen.content[:, :, 0], seen.content[:, :, 1])
    assert first[:, 3:].abs().max() == 0  # outside a scope of 3 around row 1


def test_a_query_outside_the_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got queries=\[35\]; this map has positions 0 to 34"):
        interactions(make_layer(), torch.randn(1, 12, 5, 7), queries=[35])


def test_a_network_tells_what_its_layers_are_given() -> None:
    model = create_model("lambda_tiny").train()
    model.c3.eval()  # a part that is kept as it is, say
    images = torch.randn(2, 3, 32, 32)
    inputs = lambda_inputs(model, images)
    assert list(inputs) == [name for name, part in model.named_modules() if isinstance(part, LambdaLayer)]
    assert model.training
    assert not model.c3.training
    model.eval()
    with torch.no_grad():
        block = model.c2[0]
        given = torch.relu(block.norm_reduce(block.reduce(model.step(model.stem(images)))))
    torch.testing.assert_close(inputs["c2.0.mixer"], given)


def test_a_network_without_lambda_layers_tells_nothing() -> None:
    assert lambda_inputs(torch.nn.Linear(2, 2), torch.randn(1, 2)) == {}
