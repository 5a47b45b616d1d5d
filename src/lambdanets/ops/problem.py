"""What one call asks for: its sizes, in the paper's letters, and whether they fit together.

Letters: b batch, h query heads, k key depth, v value depth, u intra-depth, n query positions (a map of sides N),
m context positions (a map of sides M), r table sides R.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

NormalizeKeys = Literal["softmax", "l2", "none"]
PairMaskKind = Literal["causal", "explicit"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The sizes of one `apply_lambdas` call: everything that the choice of a contraction order may depend on."""

    b: int
    """Batch."""
    h: int = 4
    """Query heads."""
    k: int = 16
    """Query and key depth."""
    v: int
    """Value depth (= channels / heads)."""
    u: int = 1
    """Intra-depth."""
    query_size: tuple[int, ...]
    """Sides of the query map, one to three."""
    context_size: tuple[int, ...]
    """Sides of the context map."""
    scope: tuple[int, ...] | None
    """Odd sides of the position table; None: no position part."""
    content: bool = True
    """Whether there is a content part."""
    pair_mask: PairMaskKind | None = None
    normalize_keys: NormalizeKeys = "softmax"
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    @property
    def n(self) -> int:
        """Query positions."""
        return math.prod(self.query_size)

    @property
    def m(self) -> int:
        """Context positions."""
        return math.prod(self.context_size)

    @property
    def reach(self) -> tuple[int, ...]:
        """Sides of the part of the table that some pair of positions reaches: min(r, 2·size − 1)."""
        return tuple(min(r, 2 * size - 1) for r, size in zip(self.scope or (), self.context_size, strict=False))

    @property
    def pairs(self) -> int:
        """Pairs (n, m) inside the window: the products a windowed order cannot avoid, per (b, k, u, v)."""
        return math.prod(
            sum(min(r // 2, x) + 1 + min(r // 2, size - 1 - x) for x in range(size))
            for r, size in zip(self.reach, self.context_size, strict=True)
        )

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return self.dtype.itemsize

    @classmethod
    def of(
        cls,
        query: Tensor,
        key: Tensor | None,
        value: Tensor,
        table: Tensor | None,
        pair_mask: Tensor | str | None = None,
        normalize_keys: NormalizeKeys = "softmax",
    ) -> "Problem":
        """The problem that these tensors pose; meta tensors will do."""
        b, h, k, *query_size = query.shape
        _, v, u, *context_size = value.shape
        kind: PairMaskKind | None = "explicit" if isinstance(pair_mask, Tensor) else "causal" if pair_mask else None
        return cls(
            b=b, h=h, k=k, v=v, u=u,
            query_size=tuple(query_size), context_size=tuple(context_size),
            scope=None if table is None else tuple(table.shape[2:]),
            content=key is not None, pair_mask=kind, normalize_keys=normalize_keys,
            dtype=query.dtype, device=query.device.type,
        )  # fmt: skip


def check_scope(scope: Sequence[int], num_axes: int) -> tuple[int, ...]:
    """The sides of a position table, one an axis.

    Raises:
        ValueError: a side is even or not positive, or there is not one side an axis.
    """
    sides = tuple(scope)
    if any(type(side) is bool or not isinstance(side, int | torch.SymInt) for side in sides):
        raise ValueError(f"got scope {scope!r}; want a positive odd whole number, or one an axis")
    if len(sides) != num_axes:
        raise ValueError(
            f"got a scope of {len(sides)} sides {sides} for maps of {num_axes} axes; give one side an axis"
        )
    for side in sides:
        if side < 1 or side % 2 == 0:
            nearest = "1" if side < 1 else f"{side - 1} or {side + 1}"
            raise ValueError(
                f"got scope {sides}; every side must be a positive odd number, so that a window has a middle: "
                f"use {nearest} in place of {side}"
            )
    return sides


def check_tensors(query: Tensor, key: Tensor | None, value: Tensor, table: Tensor | None) -> None:
    """Raise ValueError, saying what was got and wanted, unless the four tensors fit together."""
    axes = query.ndim - 3
    if axes not in (1, 2, 3):
        raise ValueError(f"got a query of shape {_sides(query)}; want (b, h, k, *N) with one to three map axes N")
    if key is None and table is None:
        raise ValueError("got neither key nor table, so there is nothing to apply; give key, table, or both")
    if value.ndim != query.ndim:
        raise ValueError(
            f"got a value of shape {_sides(value)} beside a query of shape {_sides(query)}; "
            f"want (b, v, u, *M) with the same {axes} map axes"
        )
    _check_dtypes(query, key, value, table)
    for name, tensor in (("query", query), ("key", key), ("value", value), ("table", table)):
        if tensor is not None and 0 in tensor.shape:
            raise ValueError(f"got an empty {name} of shape {_sides(tensor)}; every axis must hold at least one entry")
    if value.shape[0] != query.shape[0]:
        raise ValueError(f"got batches {query.shape[0]} (query) and {value.shape[0]} (value); they must be equal")
    if key is not None and _want(key, (query.shape[0], query.shape[2], *value.shape[2:])):
        raise ValueError(
            f"got a key of shape {_sides(key)}; want (b, k, u, *M) = "
            f"{(query.shape[0], query.shape[2], *value.shape[2:])} to go with the query and the value"
        )
    if table is not None:
        _check_table(query, value, table, axes)


def _check_dtypes(query: Tensor, key: Tensor | None, value: Tensor, table: Tensor | None) -> None:
    for name, tensor in (("query", query), ("key", key), ("value", value), ("table", table)):
        if tensor is not None and not tensor.is_floating_point():
            raise ValueError(f"got a {name} of dtype {tensor.dtype}; want a real floating dtype: cast it first")
        if tensor is not None and tensor.device != query.device:
            raise ValueError(f"got a {name} on {tensor.device} and a query on {query.device}; move both to one device")
    if query.dtype != value.dtype:
        raise ValueError(
            f"got a query of dtype {query.dtype} and a value of dtype {value.dtype}; "
            "cast one to the other, or run under torch.autocast"
        )


def _check_table(query: Tensor, value: Tensor, table: Tensor, axes: int) -> None:
    if table.ndim != 2 + axes or table.shape[0] != query.shape[2] or table.shape[1] != value.shape[2]:
        raise ValueError(
            f"got a table of shape {_sides(table)}; want (k, u, *R) = "
            f"({query.shape[2]}, {value.shape[2]}, …) with {axes} odd sides"
        )
    check_scope(table.shape[2:], axes)
    check_equal_maps(query.shape[3:], value.shape[3:])


def check_equal_maps(query_size: Sequence[int], context_size: Sequence[int]) -> None:
    """Raise ValueError unless the two maps, which a table relates, have the same sides."""
    if any(got != wanted for got, wanted in zip(query_size, context_size, strict=True)):
        raise ValueError(
            f"got a query map {tuple(query_size)} and a context map {tuple(context_size)}; a table holds relative "
            "positions, so the maps must be equal: resize the context, or pass table=None (content only)"
        )


def check_masks(query: Tensor, value: Tensor, context_mask: Tensor | None, pair_mask: Tensor | str | None) -> None:
    """Raise ValueError, saying what was got and wanted, unless the masks are bool and of the right shape."""
    b, m_sides = value.shape[0], tuple(value.shape[3:])
    if context_mask is not None:
        _check_mask("context_mask", context_mask, ((b, *m_sides),), "(b, *M)", query.device)
    if pair_mask is None:
        return
    if isinstance(pair_mask, str):
        if pair_mask != "causal":
            raise ValueError(
                f"got pair_mask={pair_mask!r}; the only named pair mask is 'causal': pass that or a tensor"
            )
        if query.ndim != 4 or query.shape[3] != value.shape[3]:
            raise ValueError(
                f"got pair_mask='causal' for maps {tuple(query.shape[3:])} and {m_sides}; it needs one map axis and "
                "as many queries as context positions: pass a bool tensor (n, m) for anything else"
            )
        return
    n, m = math.prod(query.shape[3:]), math.prod(m_sides)
    _check_mask("pair_mask", pair_mask, ((n, m), (b, n, m)), "(n, m) or (b, n, m), map axes flattened", query.device)


def _check_mask(
    name: str, mask: Tensor, shapes: tuple[tuple[int, ...], ...], letters: str, device: torch.device
) -> None:
    if not isinstance(mask, Tensor):
        raise ValueError(f"got a {name} of type {type(mask).__name__}; want a bool tensor {letters}, True = visible")
    if mask.dtype != torch.bool:
        raise ValueError(f"got a {name} of dtype {mask.dtype}; want bool, True = visible: use mask.bool()")
    if all(_want(mask, shape) for shape in shapes):
        wanted = " or ".join(str(shape) for shape in shapes)
        raise ValueError(f"got a {name} of shape {_sides(mask)}; want {letters} = {wanted}")
    if mask.device != device:
        raise ValueError(f"got a {name} on {mask.device} and a query on {device}; move both to one device")


def _want(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether the tensor's shape differs from the wanted one."""
    return tensor.ndim != len(shape) or any(got != wanted for got, wanted in zip(tensor.shape, shape, strict=True))


def _sides(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
