"""The passes as calls of kernels: sizes, grids and buffers. Nothing here waits for the device.

Maps of two axes; tensors with their channels fastest in memory are taken as they are, others are copied once.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lambdanets.ops.impl.triton.launches import (
    channel_tile,
    column_tile,
    context_tile,
    expanded_numbers,
    find_launch,
    launch_columns,
    mirrored_numbers,
    offset_tile,
    position_tile,
    power_of_two,
    sum_parts,
    table_channels,
    tile_keys,
    tile_positions,
)
from lambdanets.ops.impl.triton.table import expand_kernel, fold_kernel, table_gradient_kernel
from lambdanets.ops.impl.triton.values import value_gradient_kernel
from lambdanets.ops.impl.triton.window import output_kernel, query_gradient_kernel
from lambdanets.ops.launch import Launch, Pass
from lambdanets.ops.offsets import crop_table, uncrop_table

EXPANDED, FOLDED = 1024, 256
"""Numbers a program makes of the table laid out, and of its gradient."""


@dataclass(frozen=True)
class Call:
    """One launch of one kernel."""

    kernel: Any
    grid: tuple[int, ...]
    arguments: tuple[Tensor | int, ...]
    constants: dict[str, Any]
    warps: int = 4
    stages: int = 1

    @property
    def options(self) -> dict[str, int | bool]:
        """What the compiler is told; fusion is named because its default changes in Triton 3.10."""
        return {"num_warps": self.warps, "num_stages": self.stages, "enable_fp_fusion": True}

    def run(self) -> None:
        """Put it on the current stream."""
        self.kernel[self.grid](*self.arguments, **self.constants, **self.options)


@dataclass(frozen=True)
class Maps:
    """The inputs of one pass, in the layout of the kernels, and their sizes in the paper's letters."""

    query: Tensor
    """(b, Y, X, h, k)"""
    value: Tensor
    """(b, Y, X, u, v)"""
    table: Tensor
    """(k, u, *R), cropped to what some pair reaches."""
    launches: tuple[Launch, ...]
    architecture: int
    calls: list[Call] = field(default_factory=list)
    """What was launched so far."""

    @classmethod
    def of(cls, query: Tensor, value: Tensor, table: Tensor, launches: tuple[Launch, ...]) -> "Maps":
        """From a query (b, h, k, Y, X), a value (b, v, u, Y, X) and a table (k, u, *R)."""
        capability = capability_of(query)
        is_own = any(row.architecture == capability for row in launches)
        return cls(
            query.permute(0, 3, 4, 1, 2).contiguous(),
            value.permute(0, 3, 4, 2, 1).contiguous(),
            crop_table(table, value.shape[3:]).contiguous(),
            launches,
            capability if is_own else built_in_for(capability),
        )

    @property
    def size(self) -> tuple[int, int]:
        """Sides of the map."""
        return self.query.shape[1], self.query.shape[2]

    @property
    def sides(self) -> tuple[int, int]:
        """Sides of the cropped table."""
        return self.table.shape[2], self.table.shape[3]

    @property
    def letters(self) -> tuple[int, int, int, int, int]:
        """b, h, k, v and u."""
        b, _, _, h, k = self.query.shape
        return b, h, k, self.value.shape[4], self.value.shape[3]

    def launch(self, what: Pass) -> Launch:
        """The row of the launch table for a pass."""
        b, _, _, v, _ = self.letters
        columns = launch_columns(what, b, v)
        return find_launch(what, self.architecture, self.query.element_size(), columns, self.launches)

    def box(self, tile: tuple[int, int]) -> tuple[int, int]:
        """Sides of the box of context that a tile sees."""
        return self.sides[0] + tile[0] - 1, self.sides[1] + tile[1] - 1

    def geometry(self, tile: tuple[int, int]) -> tuple[int, ...]:
        """What the kernels are told of the map: its sides, those of the box, and how far the box begins before."""
        return *self.size, *self.box(tile), self.sides[0] // 2, self.sides[1] // 2

    def tiles(self, tile: tuple[int, int]) -> int:
        """Tiles that cover the map."""
        return math.prod(-(-side // length) for side, length in zip(self.size, tile, strict=True))

    @property
    def precision(self) -> dict[str, str]:
        """How fp32 is multiplied, as PyTorch's own matrix products on GPUs are told to: by TF32, or as exactly as fp32.

        The latter takes three TF32 products for one. Narrower numbers do not heed it.
        """
        exact = self.query.dtype == torch.float32 and torch.backends.cuda.matmul.fp32_precision != "tf32"
        return {"PRECISION": "tf32x3" if exact else "tf32"}

    def run(self, call: Call) -> None:
        """Launch, unless there is no memory behind the tensors: then only note the call."""
        self.calls.append(call)
        if self.query.device.type != "meta":
            call.run()

    def expanded(self, tile: tuple[int, int], keys: int, depths: int | None = None) -> Tensor:
        """The table laid out for a tile of queries; for `depths` of a tile of context positions, mirrored."""
        box, (_, _, k, _, u) = self.box(tile), self.letters
        numbers = expanded_numbers(box, tile, keys, u) if depths is None else mirrored_numbers(box, tile, keys, depths)
        result = self.table.new_empty(numbers)
        constants = {"KEYS": keys, "DEPTHS": depths or u, "TILE_Y": tile[0], "TILE_X": tile[1]}
        self.run(
            Call(
                expand_kernel,
                (-(-numbers // EXPANDED),),
                (self.table, result, k, u, *self.sides, *box, numbers),
                {**constants, "BLOCK": EXPANDED, "MIRRORED": depths is not None},
            )
        )
        return result


def capability_of(tensor: Tensor) -> int:
    """The compute capability of the tensor's device, times ten; 80 for the interpreter."""
    if tensor.device.type != "cuda":
        return 80
    major, minor = torch.cuda.get_device_capability(tensor.device)
    return 10 * major + minor


def built_in_for(capability: int) -> int:
    """The capability whose built-in rows fit a GPU of this one."""
    return 80 if capability // 10 == 12 else capability  # 12.x has no more shared memory than 8.6


def run_output(maps: Maps) -> Tensor:
    """The output as (b, Y, X, h, v)."""
    (b, h, _, v, _), row = maps.letters, maps.launch("output")
    output = maps.query.new_empty(b, *maps.size, h, v)
    _run_window(maps, row, output_kernel, (maps.query, maps.value), output)
    return output


def run_query_gradient(maps: Maps, grad: Tensor) -> Tensor:
    """The gradient of q as (b, Y, X, h, k) from dy (b, Y, X, h, v)."""
    (b, h, k, v, _), row = maps.letters, maps.launch("query")
    blocks = -(-v // column_tile(row.columns, b, v)[1])
    dtype = maps.query.dtype if blocks == 1 else torch.float32
    parts = maps.query.new_empty(blocks, b, *maps.size, h, k, dtype=dtype)
    _run_window(maps, row, query_gradient_kernel, (grad, maps.value), parts)
    return parts[0] if blocks == 1 else parts.sum(0).to(maps.query.dtype)


def _run_window(maps: Maps, row: Launch, kernel: Any, inputs: tuple[Tensor, Tensor], result: Tensor) -> None:
    """A kernel of `window.py`."""
    b, h, k, v, u = maps.letters
    keys = tile_keys(row, k)
    tile = position_tile(tile_positions(row, k, h), maps.size, maps.sides)
    images, channels = column_tile(row.columns, b, v)
    table = maps.expanded(tile, keys)
    constants = {"IMAGES": images, "CHANNELS": channels, "KEYS": keys, "TILE_Y": tile[0], "TILE_X": tile[1]}
    maps.run(
        Call(
            kernel,
            (maps.tiles(tile) * -(-b // images) * -(-v // channels),),
            (*inputs, table, result, b, h, k, v, u, *maps.geometry(tile)),
            {**constants, "STEP": row.step, "DEEP": u > 1, **maps.precision},
            row.warps,
            row.stages,
        )
    )


def run_value_gradient(maps: Maps, grad: Tensor) -> Tensor:
    """The gradient of V as (b, Y, X, u, v) from dy (b, Y, X, h, v)."""
    (b, h, k, v, u), row = maps.letters, maps.launch("value")
    keys, depths = power_of_two(k), power_of_two(u)
    tile = context_tile(max(1, row.rows // depths), maps.size, maps.sides)
    channels, step = channel_tile(row.columns, v), max(1, row.step // keys)
    table = maps.expanded(tile, keys, depths)
    result = torch.empty_like(maps.value)
    constants = {"CHANNELS": channels, "KEYS": keys, "DEPTHS": depths, "TILE_Y": tile[0], "TILE_X": tile[1]}
    maps.run(
        Call(
            value_gradient_kernel,
            (maps.tiles(tile) * b * -(-v // channels),),
            (grad, maps.query, table, result, b, h, k, v, u, *maps.geometry(tile)),
            {**constants, "STEP": step, "HEADS": _heads(h, step), **maps.precision},
            row.warps,
            row.stages,
        )
    )
    return result


def run_table_gradient(maps: Maps, grad: Tensor, sides: tuple[int, ...]) -> Tensor:
    """The gradient of R as (k, u, *sides), in fp32, from dy (b, Y, X, h, v)."""
    (b, h, k, v, u), row = maps.letters, maps.launch("table")
    keys = tile_keys(row, k)
    tile = position_tile(tile_positions(row, k, h), maps.size, maps.sides)
    box, channels = maps.box(tile), table_channels(row, v, h)
    block = offset_tile(row.step, box)
    blocks = u * math.prod(-(-side // length) for side, length in zip(box, block, strict=True))
    steps = maps.tiles(tile) * b * -(-v // channels)
    num_parts = sum_parts(blocks, steps)
    parts = maps.query.new_empty(num_parts, u, *box, *tile, keys, dtype=torch.float32)
    constants = {"KEYS": keys, "TILE_Y": tile[0], "TILE_X": tile[1]}
    blocked = {"CHANNELS": channels, "BLOCK_Y": block[0], "BLOCK_X": block[1], "HEADS": _heads(h, math.prod(tile))}
    maps.run(
        Call(
            table_gradient_kernel,
            (blocks, num_parts),
            (grad, maps.query, maps.value, parts, b, h, k, v, u, *maps.geometry(tile)),
            {**constants, **blocked, **maps.precision},
            row.warps,
            row.stages,
        )
    )
    result = torch.empty_like(maps.table, dtype=torch.float32)
    total = result.numel()
    arguments = (parts, result, num_parts, k, u, *maps.sides, *box, total)
    maps.run(Call(fold_kernel, (-(-total // FOLDED),), arguments, {**constants, "BLOCK": FOLDED}))
    return uncrop_table(result, sides)


def _heads(h: int, queries: int) -> int:
    """Heads of a product over (head, query), a power of two: as many as make the 16 rows that tensor cores want."""
    return max(power_of_two(h), 16 // min(16, queries))
