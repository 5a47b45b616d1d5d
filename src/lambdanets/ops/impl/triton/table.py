"""Kernels on the table: laid out for a tile, its gradient in that form, and folded back.

    T[s, (k, i)] = R[k, u, (dy − ty, dx − tx)]      s: (u, dy, dx) in the box that a tile sees, i: (ty, tx) in the tile

Entries outside the table are zero. The gradient is dT[s, (i, k)] = Σ V[context s, v] G[v, (i, k)] over every tile of
the map, every image and every v, with G = Σ_h dy q formed in registers. The sum over tiles and columns is cut
into parts, each summed by one program; `fold_kernel` adds them up, in the same order every time: no atomics.
"""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false
# Triton compiles these functions; to Python's eyes a kernel may iterate over types and take numbers for them.

import triton
import triton.language as tl

from lambdanets.ops.impl.triton.window import lambda_gradients


@triton.jit
def expand_kernel(
    table, expanded, k, u, side_y, side_x, box_y, box_x, total,
    KEYS: tl.constexpr, DEPTHS: tl.constexpr, TILE_Y: tl.constexpr, TILE_X: tl.constexpr, BLOCK: tl.constexpr,
    MIRRORED: tl.constexpr,
):  # fmt: skip
    """T as (u, dy, dx, KEYS, ty, tx); or T' of the mirrored table as (dy − ty + TILE_Y − 1, dx, KEYS, DEPTHS, tx)."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tx, rest = index % TILE_X, index // TILE_X
    if MIRRORED:
        ty = TILE_Y - 1
        depth, rest = rest % DEPTHS, rest // DEPTHS
        key, rest = rest % KEYS, rest // KEYS
        x, y = rest % box_x, rest // box_x
    else:
        ty, rest = rest % TILE_Y, rest // TILE_Y
        key, rest = rest % KEYS, rest // KEYS
        x, rest = rest % box_x, rest // box_x
        y, depth = rest % box_y, rest // box_y
    row, column = y - ty, x - tx
    inside = (row >= 0) & (row < side_y) & (column >= 0) & (column < side_x) & (key < k) & (depth < u)
    if MIRRORED:
        row, column = side_y - 1 - row, side_x - 1 - column
    entry = ((key * u + depth) * side_y + row) * side_x + column
    there = index < total
    tl.store(expanded + index, tl.load(table + entry, mask=inside & there, other=0.0), mask=there)


@triton.jit
def offset_block(first, reach, size, TILE: tl.constexpr, BLOCK: tl.constexpr):
    """The first of the tiles of one axis that see the map through a block of offsets from `first` on; their number."""
    low = tl.cdiv(tl.maximum(reach - first - BLOCK + 1, 0), TILE)
    high = tl.minimum(tl.cdiv(size, TILE), tl.maximum(size - 1 + reach - first + TILE, 0) // TILE)
    return low, tl.maximum(high - low, 0)


@triton.jit
def next_digit(digit, higher, base):
    """A digit that has grown by one or stayed, and the one above it, the carry taken over."""
    carry = digit >= base
    return tl.where(carry, 0, digit), higher + carry.to(tl.int32)


@triton.jit
def table_gradient_kernel(
    grad, query, value, parts, b, h, k, v, u, size_y, size_x, box_y, box_x, reach_y, reach_x,
    CHANNELS: tl.constexpr, KEYS: tl.constexpr, TILE_Y: tl.constexpr, TILE_X: tl.constexpr,
    BLOCK_Y: tl.constexpr, BLOCK_X: tl.constexpr, HEADS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One part of dT, (u, dy, dx, ty, tx, KEYS), for a block of offsets (dy, dx) of one u."""
    TILE: tl.constexpr = TILE_Y * TILE_X
    size_y, size_x = tl.cast(size_y, tl.int32), tl.cast(size_x, tl.int32)
    blocks_y, blocks_x = tl.cdiv(box_y, BLOCK_Y), tl.cdiv(box_x, BLOCK_X)
    block, part = tl.program_id(0), tl.program_id(1)
    depth = block // (blocks_y * blocks_x)
    first_y, first_x = block // blocks_x % blocks_y * BLOCK_Y, block % blocks_x * BLOCK_X
    low_y, tiles_y = offset_block(first_y, reach_y, size_y, TILE_Y, BLOCK_Y)
    low_x, tiles_x = offset_block(first_x, reach_x, size_x, TILE_X, BLOCK_X)
    s = tl.arange(0, BLOCK_Y * BLOCK_X)
    dy, dx = first_y + s // BLOCK_X, first_x + s % BLOCK_X
    by_head, by_key = tl.arange(0, HEADS * TILE), tl.arange(0, TILE * KEYS)
    head_item, key_item = by_head % TILE, by_key // KEYS
    channel_blocks = tl.cdiv(v, CHANNELS)
    steps = tiles_y * tiles_x * b * channel_blocks
    each = tl.cdiv(steps, tl.num_programs(1))
    # Where a query and a context position lie, from the first position of a tile on.
    hy, hx, ky, kx = head_item // TILE_X, head_item % TILE_X, key_item // TILE_X, key_item % TILE_X
    h_place, k_place, m_place = hy * size_x + hx, ky * size_x + kx, (dy - reach_y) * size_x + dx - reach_x
    begin = part * each
    channel_block, image, tile = begin % channel_blocks, begin // channel_blocks % b, begin // channel_blocks // b
    tile_x, tile_y = tile % tl.maximum(tiles_x, 1), tile // tl.maximum(tiles_x, 1)
    total = tl.zeros((TILE * KEYS, BLOCK_Y * BLOCK_X), tl.float32)
    for _ in range(begin, tl.minimum(begin + each, steps)):
        channels = channel_block * CHANNELS + tl.arange(0, CHANNELS)
        y0, x0 = (low_y + tile_y) * TILE_Y, (low_x + tile_x) * TILE_X
        start, first = image.to(tl.int64) * size_y * size_x, y0 * size_x + x0
        g = lambda_gradients(
            grad + start * h * v, query + start * h * k, first + h_place, first + k_place,
            (hy < size_y - y0) & (hx < size_x - x0), (ky < size_y - y0) & (kx < size_x - x0),
            by_head // TILE, head_item, key_item, by_key % KEYS, channels, h, k, v, False, PRECISION,
        )  # fmt: skip
        my, mx = dy + (y0 - reach_y), dx + (x0 - reach_x)
        seen = (my >= 0) & (my < size_y) & (mx >= 0) & (mx < size_x)
        values = tl.load(
            value + start * u * v + (((first + m_place) * u + depth).to(tl.int64) * v)[:, None] + channels[None, :],
            mask=seen[:, None] & (channels < v)[None, :], other=0.0,
        )  # fmt: skip
        total = tl.dot(g.to(values.dtype), tl.trans(values), total, input_precision=PRECISION)
        channel_block, image = next_digit(channel_block + 1, image, channel_blocks)
        image, tile_x = next_digit(image, tile_x, b)
        tile_x, tile_y = next_digit(tile_x, tile_y, tiles_x)
    row = ((part * u + depth).to(tl.int64) * box_y + dy) * box_x + dx
    place = (row * (TILE * KEYS))[None, :] + by_key[:, None]
    tl.store(parts + place, total, mask=((dy < box_y) & (dx < box_x))[None, :])


@triton.jit
def fold_kernel(
    parts, d_table, num_parts, k, u, side_y, side_x, box_y, box_x, total,
    KEYS: tl.constexpr, TILE_Y: tl.constexpr, TILE_X: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """dR[k, u, ey, ex] = Σ_{part, ty, tx} dT[part, u, ey + ty, ex + tx, ty, tx, k], always in this order."""
    TILE: tl.constexpr = TILE_Y * TILE_X
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = index < total
    key, rest = index % k, index // k
    x, rest = rest % side_x, rest // side_x
    y, depth = rest % side_y, rest // side_y
    result = tl.zeros((BLOCK,), tl.float32)
    for part in range(num_parts):
        for i in tl.static_range(TILE):
            row = ((part * u + depth) * box_y + y + i // TILE_X) * box_x + x + i % TILE_X
            result += tl.load(parts + (row * TILE + i) * KEYS + key, mask=there, other=0.0)
    tl.store(d_table + ((key * u + depth) * side_y + y) * side_x + x, result, mask=there)
