"""The classifier's two parts: global pooling, and a linear layer drawn from N(0, 0.01²)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lambdanets.models.spec import check_global_pool

CLASSIFIER_STD = 0.01


class GlobalPool(nn.Module):
    """A map (b, d, *N) to a vector an image: (b, d), (b, 2·d) for catavgmax; kind "" leaves the map as it is.

    Args:
        kind: one of `spec.GLOBAL_POOLS`; anything else is a ValueError.
    """

    def __init__(self, kind: str = "avg") -> None:
        super().__init__()
        check_global_pool(kind)
        self.kind = kind

    @property
    def feature_multiple(self) -> int:
        """Channels of the result over channels of the map."""
        return 2 if self.kind == "catavgmax" else 1

    def forward(self, x: Float[Tensor, "b d *N"]) -> Float[Tensor, "b *pooled"]:
        """The pooled features."""
        if self.kind == "":
            return x
        flat = x.flatten(2)
        if self.kind == "avg":
            return flat.mean(-1)
        if self.kind == "max":
            return flat.amax(-1)
        both = (flat.mean(-1), flat.amax(-1))
        return (both[0] + both[1]) / 2 if self.kind == "avgmax" else torch.cat(both, dim=1)

    def extra_repr(self) -> str:
        """The kind, for printing."""
        return f"kind={self.kind!r}"


def build_classifier(dim: int, num_classes: int, pool: GlobalPool) -> nn.Module:
    """A linear layer to `num_classes` logits, or the identity for 0 classes.

    Raises ValueError for a negative number of classes, and for classes without a pool before them.
    """
    if num_classes < 0:
        raise ValueError(f"num_classes is {num_classes}; give the number of classes, or 0 for features alone.")
    if num_classes == 0:
        return nn.Identity()
    if not pool.kind:
        raise ValueError(f'global_pool is "", yet num_classes is {num_classes}; pool the map, or take num_classes=0.')
    layer = nn.Linear(dim, num_classes)
    nn.init.normal_(layer.weight, std=CLASSIFIER_STD)
    nn.init.zeros_(layer.bias)
    return layer
