"""What each query of a lambda layer sees: the exact linear weight of every context position in its output.

A lambda layer stores no attention map, but its output is linear in the values, so the map can be had afterwards:

    y_n = Σ_{m,u} A_{nmu} V_{mu}      A_{nmu} = q_n · (K̄_{mu} + R_u[m − n])      for each of the h queries of position n

This follows from y_n = (λᶜ + λᵖ_n)ᵀ q_n by exchanging the sums over k and m (Bello 2021, section 3). Weights may be
negative and do not sum to one. They are for looking at: what they take is n × m, which the layer itself avoids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lambdanets.layers.lambda_layer import LambdaLayer
from lambdanets.ops.content import normalized_keys
from lambdanets.ops.offsets import full_table


@dataclass(frozen=True)
class Interactions:
    """The two parts of the weights A, for some query positions n and all context positions m, and the values."""

    content: Float[Tensor, "b h n m u"] | None
    """q_n · K̄_m: what is there matters, not where. None for a layer without a content part."""
    position: Float[Tensor, "b h n m u"] | None
    """q_n · R[m − n]: where it is matters, not what. None for a layer without a position table."""
    value: Float[Tensor, "b m u v"]
    """V_m, normalised as the layer does."""

    @property
    def weights(self) -> Float[Tensor, "b h n m u"]:
        """A, both parts together."""
        parts = [part for part in (self.content, self.position) if part is not None]
        return sum(parts[1:], start=parts[0])

    def output(self) -> Float[Tensor, "b h v n"]:
        """Σ_{m,u} A_{nmu} V_{mu}: the layer's output at the chosen queries, before its pool."""
        return torch.einsum("bhnmu,bmuv->bhvn", self.weights, self.value)


def interactions(
    layer: LambdaLayer,
    x: Float[Tensor, "b d *N"],
    context: Float[Tensor, "b c *M"] | None = None,
    *,
    context_mask: Bool[Tensor, "b *M"] | None = None,
    queries: Sequence[int] | None = None,
) -> Interactions:
    """The weights with which the layer would see this input; call `layer.eval()` first, or batch statistics count.

    Args:
        layer: the layer that is looked into.
        x: its input, (b, dim, *N).
        context: (b, dim_context, *M), as for the layer; None: x itself.
        context_mask: (b, *M), True = visible. Hidden positions have weight 0.
        queries: which positions n, counted row by row through the map; None: all, which takes b·h·n·m·u numbers.

    Raises:
        ValueError: a query outside the map.
    """
    size = x.shape[2:]
    chosen = _chosen(queries, size.numel(), x.device)
    query, value, keys = layer.project(x, context, context_mask)
    query = query.unflatten(1, (layer.num_heads, layer.dim_key)).flatten(3)[..., chosen]
    value = value.unflatten(1, (layer.dim_value, layer.dim_intra)).flatten(3)
    hidden = None if context_mask is None else ~context_mask.flatten(1)
    content, position = None, None
    if keys is not None:
        keys = keys.unflatten(1, (layer.dim_key, layer.dim_intra))
        keys = normalized_keys(keys, context_mask, layer.normalize_keys).to(query.dtype)
        content = torch.einsum("bhkn,bkum->bhnmu", query, keys)
    if layer.positions is not None:
        table = _embeddings(layer.positions().to(query.dtype), size, chosen)
        position = torch.einsum("bhkn,kunm->bhnmu", query, table)
        if hidden is not None:
            position = position.masked_fill(hidden[:, None, None, :, None], 0)
    if hidden is not None:
        value = value.masked_fill(hidden[:, None, None], 0)
    return Interactions(content, position, value.permute(0, 3, 2, 1))


@torch.no_grad()
def lambda_inputs(model: nn.Module, images: Float[Tensor, "b c *size"]) -> dict[str, Tensor]:
    """What each lambda layer of a network is given for these images, by the name of the layer, in the network's order.

    The network runs in eval mode, without gradients, and is left as it was. For `interactions`:

        {name: interactions(model.get_submodule(name), x) for name, x in lambda_inputs(model, images).items()}
    """
    modes = {part: part.training for part in model.modules()}
    caught: dict[str, Tensor] = {}

    def keep(name: str, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        caught[name] = inputs[0]

    layers = [(name, part) for name, part in model.named_modules() if isinstance(part, LambdaLayer)]
    hooks = [layer.register_forward_pre_hook(partial(keep, name)) for name, layer in layers]
    try:
        model.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()
        for part, was_training in modes.items():
            part.training = was_training
    return {name: caught[name] for name, _ in layers if name in caught}


def _chosen(queries: Sequence[int] | None, count: int, device: torch.device) -> Tensor:
    if queries is not None and not all(0 <= query < count for query in queries):
        raise ValueError(f"got queries={list(queries)}; this map has positions 0 to {count - 1}")
    return torch.tensor(range(count) if queries is None else list(queries), device=device)


def _embeddings(table: Tensor, size: Sequence[int], queries: Tensor) -> Float[Tensor, "k u n m"]:
    """R[m − n] for the chosen n and every m, zero outside the table."""
    everywhere = full_table(table, size)
    index = torch.zeros((), dtype=torch.long, device=table.device)
    for axis, (side, place) in enumerate(zip(size, torch.unravel_index(queries, tuple(size)), strict=True)):
        entry = torch.arange(side, device=table.device) - place[:, None] + side - 1
        shape = [len(queries)] + [side if other == axis else 1 for other in range(len(size))]
        index = index * (2 * side - 1) + entry.reshape(shape)
    return everywhere.flatten(2)[:, :, index.flatten(1)]
