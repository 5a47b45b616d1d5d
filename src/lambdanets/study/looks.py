"""What the lambda layers of a network see in one image, and whether that is all that their outputs are made of.

Letters: h heads, n query positions, y rows and x columns of a layer's map.
"""

import base64
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from lambdanets.layers import LambdaLayer, interactions, lambda_inputs
from lambdanets.ops.choice import ORDERS

ORDER_NAMES = ("reference", *(order.NAME for order in ORDERS))
LEAST_SIDE = 4
"""Maps smaller than this are not drawn: there is little to be seen on them."""
MOST_LAYERS = 3
"""Layers that are drawn, spread over the network."""
MOST_CHECKED = 256
"""Query positions of a layer whose weights are held against its output, spread over its map."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How a layer sees, over all queries that were looked at."""

    name: str
    size: tuple[int, int]
    """Rows and columns of its map."""
    heads: int
    position_share: float
    """Of all weight, counted without signs, what is by position rather than by content, 0…1."""
    beyond: float
    """Of all weight, counted without signs, what lies outside the 3 × 3 positions that a convolution sees, 0…1."""


@torch.no_grad()
def reach(name: str, layer: LambdaLayer, x: Float[Tensor, "1 d y x"]) -> Reach:
    """That of a layer for its input."""
    rows, columns = x.shape[-2:]
    queries = spread(rows * columns)
    seen = interactions(layer, x, queries=queries)
    parts = {what: part for what, part in (("content", seen.content), ("position", seen.position)) if part is not None}
    total = sum(float(part.abs().sum()) for part in parts.values())
    position = float(parts["position"].abs().sum()) if "position" in parts else 0.0
    near = _near(queries, rows, columns).to(x.device)
    weight = seen.weights.abs().sum((0, 1, 4))
    return Reach(
        name=name,
        size=(rows, columns),
        heads=layer.num_heads,
        position_share=position / max(total, 1e-30),
        beyond=float(weight[~near].sum() / weight.sum().clamp_min(1e-30)),
    )


def _near(queries: Sequence[int], rows: int, columns: int) -> Tensor:
    """(n, m): whether a context position lies in the 3 × 3 around the query."""
    places = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")).flatten(1)
    apart = (places[:, list(queries), None] - places[:, None]).abs()
    return apart.amax(0) <= 1


@torch.no_grad()
def differences(layer: LambdaLayer, x: Tensor) -> dict[str, dict[str, float]]:
    """Σ_m A_nm V_m against the layer's own output, by order of contraction; orders that cannot run it are left out.

    Keys of each: "absolute" and "output", the largest difference and the largest output, both in the dtype of x.
    """
    plain = copy.deepcopy(layer).eval().to(x.dtype)
    plain.pool = nn.Identity()  # the weights are those before the pool
    queries = spread(x.shape[2:].numel())
    want = interactions(plain, x, queries=queries).output().flatten(1, 2)
    found = {}
    for name in ORDER_NAMES:
        plain.impl = name
        try:
            output = plain(x).flatten(2)
        except ValueError:
            continue  # the order is not able for this layer, and says so
        found[name] = {
            "absolute": float((output[..., queries] - want).abs().max()),
            "output": float(output.abs().max()),
        }
    return found


def spread(count: int, most: int = MOST_CHECKED) -> list[int]:
    """All of the first `count` numbers, or `most` of them, evenly spread."""
    return sorted({int(place) for place in np.linspace(0, count - 1, min(count, most))})


@torch.no_grad()
def look(model: nn.Module, image: Float[Tensor, "1 c y x"], places: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """All that is found out of a network and an image, as JSON holds it: keys layers, orders, drawn, maps.

    `places` are the queries that are drawn: (row, column) as shares of the height and width, below 1.

    Raises:
        ValueError: the network has no lambda layers.
    """
    inputs = lambda_inputs(model, image)
    if not inputs:
        raise ValueError("this run's network has no lambda layers: give a run that has, with --run.")
    layers = {name: cast(LambdaLayer, model.get_submodule(name)) for name in inputs}
    drawn = [name for name, x in inputs.items() if min(x.shape[-2:]) >= LEAST_SIDE] or list(inputs)
    drawn = [drawn[place] for place in spread(len(drawn), MOST_LAYERS)]
    maps: dict[str, NDArray[Any]] = {}
    for name in drawn:
        for what, part in _drawn_maps(layers[name], inputs[name], places).items():
            maps[f"{name}/{what}"] = part
    return {
        "layers": [vars(reach(name, layers[name], x)) for name, x in inputs.items()],
        "orders": _orders(layers, inputs),
        "drawn": drawn,
        "maps": packed(maps),
    }


def _orders(layers: Mapping[str, LambdaLayer], inputs: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """Over all layers the largest differences of each order, in single and in double precision."""
    worst: dict[str, dict[str, float]] = {}
    for name, x in inputs.items():
        single, double = differences(layers[name], x.float()), differences(layers[name], x.double())
        for order, found in single.items():
            one = worst.setdefault(order, {"layers": 0, "absolute": 0.0, "relative": 0.0, "double": 0.0})
            one["layers"] += 1
            one["absolute"] = max(one["absolute"], found["absolute"])
            one["relative"] = max(one["relative"], found["absolute"] / max(found["output"], 1e-30))
            if order in double:  # an order may be one of single precision alone
                one["double"] = max(one["double"], double[order]["absolute"])
    return worst


def _drawn_maps(layer: LambdaLayer, x: Tensor, places: Sequence[tuple[float, float]]) -> dict[str, NDArray[Any]]:
    """Content and position weights of the queries, each (n, h, y, x); where the layer has an intra-depth, its mean."""
    rows, columns = x.shape[-2:]
    queries = [int(down * rows) * columns + int(right * columns) for down, right in places]
    seen = interactions(layer, x, queries=queries)
    return {
        what: part[0].transpose(0, 1).mean(-1).unflatten(2, (rows, columns)).cpu().numpy().astype(np.float32)
        for what, part in (("content", seen.content), ("position", seen.position))
        if part is not None
    }


def telling_places(image: Float[Tensor, "1 c y x"]) -> list[tuple[float, float]]:
    """Three places worth a question: the brightest, the centre, and one up to the left, as shares of the sides."""
    cells = 8
    brightness = F.adaptive_avg_pool2d(image.mean(1, keepdim=True), (cells, cells))
    row, column = divmod(int(brightness.argmax()), cells)
    return [((row + 0.5) / cells, (column + 0.5) / cells), (0.5, 0.5), (0.2, 0.2)]


def packed(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Arrays by name as one text."""
    stream = BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **cast(dict[str, Any], arrays))
    return base64.b64encode(stream.getvalue()).decode()


def unpacked(text: str) -> dict[str, NDArray[Any]]:
    """What `packed` has packed."""
    with np.load(BytesIO(base64.b64decode(text)), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
