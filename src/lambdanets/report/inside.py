"""A first look inside: what one query position of one lambda layer sees in one image, head by head.

Letters: h heads, y rows and x columns of the layer's map.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lambdanets.layers import LambdaLayer, interactions, lambda_inputs


@dataclass(frozen=True, kw_only=True)
class Look:
    """The weights with which one position of a map takes in the others."""

    layer: str
    """Name of the layer in its network."""
    row: int
    """Row of the query position in the layer's map."""
    column: int
    """Column of the query position."""
    content: Float[Tensor, "h y x"] | None
    """By what is there; None where the layer has no content part."""
    position: Float[Tensor, "h y x"] | None
    """By where it is; None where the layer has no position table."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the map."""
        part = self.position if self.content is None else self.content
        assert part is not None
        return part.shape[-2], part.shape[-1]

    @property
    def position_share(self) -> float:
        """The position part's share of all weight, counted without signs, 0…1."""
        parts = (self.content, self.position)
        content, position = (0.0 if part is None else float(part.abs().sum()) for part in parts)
        return position / max(content + position, 1e-12)


@torch.no_grad()
def look_inside(model: nn.Module, image: Float[Tensor, "1 c y x"]) -> Look | None:
    """The look from the position with most ink, through the first lambda layer; None for a network without one.

    Where a layer has an intra-depth, the mean over it is shown.
    """
    name, x = next(iter(lambda_inputs(model, image).items()), (None, None))
    if name is None or x is None:
        return None
    layer = model.get_submodule(name)
    assert isinstance(layer, LambdaLayer)
    row, column = _most_ink(image, x.shape[-2], x.shape[-1])
    was_training = layer.training
    try:
        seen = interactions(layer.eval(), x, queries=[row * x.shape[-1] + column])
    finally:
        layer.train(was_training)
    content, position = (
        None if part is None else part[0, :, 0].mean(-1).unflatten(1, x.shape[2:]).cpu()
        for part in (seen.content, seen.position)
    )
    return Look(layer=name, row=row, column=column, content=content, position=position)


def _most_ink(image: Tensor, rows: int, columns: int) -> tuple[int, int]:
    """The place in a map of this size over which the image is brightest."""
    ink = F.adaptive_avg_pool2d(image.mean(1, keepdim=True), (rows, columns))
    return divmod(int(ink.argmax()), columns)
