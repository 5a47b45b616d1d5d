"""Learned embeddings of offsets along one axis of a map, for queries to be compared with (Shaw et al. 2018).

Letters: i query and j context positions along the axis, k depth.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lambdanets.layers.attention.heads import check_numbers


class RelativeEmbeddings(nn.Module):
    """R of shape (2·side − 1, k), an entry for each offset j − i from −(side − 1) to side − 1.

    Args:
        side: of the axis that all offsets fit into.
        dim: k.
        std: of the entries as drawn; None: k^-½.

    On a longer axis, offsets beyond the last entry read the last, as Shaw et al. clip them; on a shorter one the outer
    entries are not read.
    """

    def __init__(self, side: int, dim: int, std: float | None = None):
        super().__init__()
        check_numbers(side=side, dim=dim)
        self.std = dim**-0.5 if std is None else std
        self.table = nn.Parameter(torch.empty(2 * side - 1, dim))
        self.reset_parameters()

    @property
    def side(self) -> int:
        """Of the longest axis whose offsets all have entries of their own."""
        return (self.table.shape[0] + 1) // 2

    def reset_parameters(self) -> None:
        """Draw the entries anew."""
        nn.init.normal_(self.table, std=self.std)

    def forward(self, side: int) -> Float[Tensor, "i j k"]:
        """E[i, j] = R[j − i] for an axis of this side."""
        places = torch.arange(side, device=self.table.device)
        last = self.side - 1
        return self.table[(places - places[:, None]).clamp(-last, last) + last]

    def extra_repr(self) -> str:
        """Side and depth, for `print`."""
        return f"side={self.side}, dim={self.table.shape[1]}"
