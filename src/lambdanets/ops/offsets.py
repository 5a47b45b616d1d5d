"""Relative positions: a table over offsets, and what a pair of positions reads from it.

R[m − n] is entry m − n + (r − 1)/2 of an axis of r entries; outside the table it is zero.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def crop_table(table: Tensor, size: Sequence[int]) -> Tensor:
    """A view of the part of a (k, u, *R) table that some pair of positions of a map of this size reaches.

    Its sides are min(r, 2·size − 1); they stay odd and the middle stays the middle.
    """
    for axis, side in enumerate(size, start=2):
        surplus = (table.shape[axis] - (2 * side - 1)) // 2
        if surplus > 0:
            table = table.narrow(axis, surplus, 2 * side - 1)
    return table


def uncrop_table(cropped: Tensor, sides: Sequence[int]) -> Tensor:
    """The inverse of `crop_table` for gradients: entries that no pair reaches get zero."""
    return pad_sides(cropped, sides)


def full_table(table: Tensor, size: Sequence[int]) -> Tensor:
    """The (k, u, *(2·size − 1)) table that holds every offset of a map of this size, zero outside the given one."""
    return pad_sides(crop_table(table, size), [2 * side - 1 for side in size])


def pad_sides(tensor: Tensor, sides: Sequence[int]) -> Tensor:
    """The tensor with zeros around its map axes (from axis 2 on), centred, up to the given sides."""
    margins = [(side - have) // 2 for side, have in zip(sides, tensor.shape[2:], strict=True)]
    if not any(margins):
        return tensor
    return F.pad(tensor, [margin for side in reversed(margins) for margin in (side, side)])


def toeplitz(table: Float[Tensor, "k u *R"], size: Sequence[int]) -> Tensor:
    """E[k, u, n, m] = R[k, u, m − n] laid out, of shape (k, u, *N, *M), zero outside the table.

    Windows of the full table are its rows in reversed order, so it is a view of it but for one flip.
    """
    windows = full_table(table, size)
    axes = range(2, 2 + len(size))
    for axis, side in zip(axes, size, strict=True):
        windows = windows.unfold(axis, side, 1)
    return windows.flip(tuple(axes))
