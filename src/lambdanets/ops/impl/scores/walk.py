"""What both passes of the scores order share: the blocks to work in, layouts and buffers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lambdanets.ops.blocks import Block
from lambdanets.ops.tiles import Tiling, fit_table, table_reach

NEARLY_WHOLE = 0.75
"""A window that covers this share of an axis is worked as if it covered all of it: fewer, uniform products."""
BLOCK_NUMBERS = 1_300_000
"""Numbers in P at most: beyond about twice a core's second-level cache the products slow down."""


class Walk:
    """What the two passes share: sizes, layouts with the channels fastest, and flat buffers for the largest block."""

    def __init__(self, query: Tensor, value: Tensor, table: Tensor):
        self.h, self.k, self.v, u = *query.shape[1:3], *value.shape[1:3]
        self.tiling = tiling = choose_tiling(query.shape[3:], table.shape[2:], self.h, u, query.dtype)
        self.table = fit_table(table, tiling.size, tiling.reach)
        self.queries = query.movedim((1, 2), (-2, -1)).contiguous()
        queries, length = tiling.most_positions * self.h, tiling.most_row_length * u
        self.most_scores = queries * tiling.most_row_offsets * length
        self.query = query.new_empty(queries * self.k)
        self.output = query.new_empty(queries * self.v)
        self.context = query.new_empty(tiling.size[-2] * length * self.v)
        self.expanded = query.new_empty(tiling.most_columns * self.k * tiling.all_row_offsets * length)

    def blocks(self, columns: int, length: int) -> list[Block]:
        """The blocks of a tile and a box with that many columns, and numbers a context row."""
        return [Block(rows, columns, self.h, length, self.tiling) for rows in self.tiling.blocks]


def choose_tiling(size: Sequence[int], sides: Sequence[int], h: int, u: int, dtype: torch.dtype) -> Tiling:
    """The blocks that run fastest, as measured: long in y where windows are narrow, wide in x where they are not."""
    reach = table_reach(sides, size, NEARLY_WHOLE)
    height, width = size[-2:]
    whole = reach[-1] == width - 1
    narrow = dtype in (torch.bfloat16, torch.float16)
    least = 128 if narrow else 32
    tile = min(width, 32) if whole else min(width, max(8, -(-least // h)))
    row = Tiling(tuple(size), reach, tile, 1).most_row_length * u
    block = min(height, max(8, 32 // h) if reach[-2] == height - 1 else 64)
    while block > 1 and tile * h * block * min(2 * reach[-2] + 1, height + block - 1) * row > BLOCK_NUMBERS:
        block = -(-block // 2)
    return Tiling(tuple(size), reach, tile, block)


def by_context_row(maps: Tensor) -> Tensor:
    """(b, *lead, y, x, u, v) as the expanded table counts the context: (b, y, *lead, u, x, v)."""
    return maps.transpose(-3, -2).movedim(-4, 1)
