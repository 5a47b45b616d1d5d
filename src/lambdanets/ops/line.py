"""A map of one axis as a map of two, for orders that work on planes: position n is row n // X, column n % X.

Offset δ = dy·X + dx, so the table of the folded map is R₂[k, u, dy, dx] = R[k, u, dy·X + dx] for |dx| < X: a view of R
padded by zeros. Positions beyond the end hold zeros. Without a width X the map is a plane of a single row.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Needs = tuple[bool, bool, bool]
Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


def forward_on_plane(
    forward: Callable[[Tensor, Tensor, Tensor], Tensor], width: int | None, query: Tensor, value: Tensor, table: Tensor
) -> Tensor:
    """`forward` of maps of two axes or more, for maps of one axis too."""
    if query.ndim > 4:
        return forward(query, value, table)
    positions = query.shape[-1]
    return unfold_map(forward(fold_map(query, width), fold_map(value, width), fold_table(table, width)), positions)


def backward_on_plane(
    backward: Callable[[Tensor, Tensor, Tensor, Tensor, Needs], Gradients],
    width: int | None,
    tensors: tuple[Tensor, Tensor, Tensor, Tensor],
    needs: Needs,
) -> Gradients:
    """`backward` of maps of two axes or more, for maps of one axis too; tensors: grad, query, value, table."""
    if tensors[0].ndim > 4:
        return backward(*tensors, needs)
    *maps, table = tensors
    positions, folded = maps[0].shape[-1], [fold_map(tensor, width) for tensor in maps]
    d_query, d_value, d_table = backward(folded[0], folded[1], folded[2], fold_table(table, width), needs)
    return (
        None if d_query is None else unfold_map(d_query, positions),
        None if d_value is None else unfold_map(d_value, positions),
        None if d_table is None else unfold_table_gradient(d_table, table, width),
    )


def fold_map(tensor: Tensor, width: int | None) -> Tensor:
    """(…, n) → (…, rows, width), zeros after the end."""
    if width is None:
        return tensor.unsqueeze(-2)
    surplus = -tensor.shape[-1] % width
    return (F.pad(tensor, (0, surplus)) if surplus else tensor).unflatten(-1, (-1, width))


def unfold_map(tensor: Tensor, positions: int) -> Tensor:
    """(…, rows, width) → (…, n): the inverse of `fold_map`."""
    return tensor.flatten(-2)[..., :positions]


def folded_sides(positions: int, side: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The sides of the folded map and of the folded table."""
    return (-(-positions // width), width), (2 * _extent(side, width)[0] + 1, 2 * width - 1)


def fold_table(table: Tensor, width: int | None) -> Tensor:
    """(k, u, r) → (k, u, 2·dy + 1, 2·width − 1), a view of the table between zeros."""
    if width is None:
        return table.unsqueeze(-2)
    rows, margin = _extent(table.shape[-1], width)
    padded = F.pad(table, (margin, margin))
    sides, strides = (2 * rows + 1, 2 * width - 1), (*padded.stride()[:2], width, 1)
    return padded.as_strided((*table.shape[:2], *sides), strides)


def unfold_table_gradient(gradient: Tensor, table: Tensor, width: int | None) -> Tensor:
    """The gradient of the table from that of the folded one: every entry gathers its copies."""
    if width is None:
        return gradient.squeeze(-2)
    _, margin = _extent(table.shape[-1], width)
    total = gradient.new_zeros(*table.shape[:2], table.shape[-1] + 2 * margin)
    for row in range(gradient.shape[2]):
        total[..., row * width : row * width + 2 * width - 1] += gradient[:, :, row]
    return total.narrow(-1, margin, table.shape[-1])


def _extent(side: int, width: int) -> tuple[int, int]:
    """Rows that a table of this side reaches to either side, and the zeros it then needs at either end."""
    reach = side // 2
    rows = -(-reach // width)
    return rows, rows * width + width - 1 - reach
