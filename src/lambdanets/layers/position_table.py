"""The table R of relative position embeddings, E[n, m] = R[m − n], as a module that layers may share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lambdanets.ops.problem import check_scope


class PositionTable(nn.Module):
    """Relative position embeddings R of shape (k, u, *R), drawn from N(0, 1).

    Pass one instance to several `LambdaLayer`s (`table=`) to share it: it is then trained, counted and saved once.

    Args:
        dim_key: k, query and key depth.
        dim_intra: u, intra-depth.
        scope: odd side of the window, or one odd side an axis; `global_scope` gives the sides that see a whole map.
        num_axes: map axes, 1 to 3.

    Raises:
        ValueError: an even side, or sides that do not go with the number of axes.

    Source: Bello 2021, sections 3.1 (relative embeddings) and 3.2 (lambda convolution).
    """

    def __init__(self, dim_key: int = 16, dim_intra: int = 1, scope: int | Sequence[int] = 23, num_axes: int = 2):
        super().__init__()
        sides = check_scope(scope if isinstance(scope, Sequence) else [scope] * num_axes, num_axes)
        if dim_key < 1 or dim_intra < 1:
            raise ValueError(f"got dim_key={dim_key} and dim_intra={dim_intra}; want whole numbers, 1 or more")
        self.table = nn.Parameter(torch.empty(dim_key, dim_intra, *sides))
        self.reset_parameters()

    @property
    def scope(self) -> tuple[int, ...]:
        """Sides of the window."""
        return tuple(self.table.shape[2:])

    def reset_parameters(self) -> None:
        """Draw the table anew from N(0, 1)."""
        nn.init.normal_(self.table)

    def forward(self) -> Tensor:
        """The table, (k, u, *R)."""
        return self.table

    def extra_repr(self) -> str:
        """Depth, intra-depth and sides."""
        return f"dim_key={self.table.shape[0]}, dim_intra={self.table.shape[1]}, scope={self.scope}"


def global_scope(size: Sequence[int]) -> tuple[int, ...]:
    """The scope with which every position of a map of this size sees every other: 2·size − 1 an axis.

    Raises:
        ValueError: a side below 1.
    """
    if any(side < 1 for side in size):
        raise ValueError(f"got a map of sides {tuple(size)}; every side must be 1 or more")
    return tuple(2 * side - 1 for side in size)
