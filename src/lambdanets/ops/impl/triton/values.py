"""The kernel of the gradient of V, whose product runs over the queries that see a tile of context positions.

    dV[c, (u, j)] = Σ_{s, k} G[c, (s, k)] · T'[(s, k), (u, j)]      G[c, (s, k)] = Σ_h dy[c, h, s] q[h, k, s]

s: a query around the tile, j: a position of the tile, c: (image, v). G, the gradient of the lambdas, is formed in
registers and used for all the positions of the tile. `T'` is the mirrored table, laid out for a tile (`table.py`).
"""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false
# Triton compiles these functions; to Python's eyes a kernel may iterate over types and take numbers for them.

import triton
import triton.language as tl

from lambdanets.ops.impl.triton.window import (
    first_offsets,
    next_offsets,
    program_tiles,
    tile_positions,
    visible_range,
)


@triton.jit
def value_gradient_kernel(
    grad, query, table, d_value, b, k, v, u, size_y, size_x, box_y, box_x, reach_y, reach_x,
    IMAGES: tl.constexpr, CHANNELS: tl.constexpr, KEYS: tl.constexpr, DEPTHS: tl.constexpr,
    TILE_Y: tl.constexpr, TILE_X: tl.constexpr, STEP: tl.constexpr, HEADS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dV[image, m, u, v] for a tile of m, all of u and some (image, v); STEP queries at a time."""
    TILE: tl.constexpr = TILE_Y * TILE_X
    COLUMNS: tl.constexpr = IMAGES * CHANNELS
    size_y, size_x = tl.cast(size_y, tl.int32), tl.cast(size_x, tl.int32)
    n = size_y.to(tl.int64) * size_x
    y0, x0, image, block = program_tiles(size_y, size_x, v, IMAGES, CHANNELS, TILE_Y, TILE_X)
    images, channels = image + tl.arange(0, IMAGES), block * CHANNELS + tl.arange(0, CHANNELS)
    keys, rows = tl.arange(0, KEYS), tl.arange(0, DEPTHS * TILE)
    low_y, high_y = visible_range(y0, reach_y, size_y, box_y)
    low_x, high_x = visible_range(x0, reach_x, size_x, box_x)
    height, width = high_y - low_y, high_x - low_x
    x, y, beyond = first_offsets(width, height, STEP)
    kx, ky, k_beyond = first_offsets(width * KEYS, height, STEP * KEYS)  # the same box, every query KEYS times
    total = tl.zeros((COLUMNS, DEPTHS * TILE), tl.float32)
    for _ in range(0, height * width, STEP):
        position = (y0 + low_y - reach_y + y) * size_x + (x0 + low_x - reach_x + x)
        place = (images.to(tl.int64) * n)[:, None] + position[None, :]  # IMAGES STEP
        here = (images < b)[:, None] & (beyond < 1)[None, :]
        g = tl.zeros((IMAGES, CHANNELS, STEP, KEYS), tl.float32)
        for head in tl.static_range(HEADS):
            dy = tl.load(
                grad + (place[:, None, :] * HEADS + head) * v + channels[None, :, None],
                mask=here[:, None, :] & (channels < v)[None, :, None], other=0.0,
            ).to(tl.float32)  # fmt: skip
            q = tl.load(
                query + (place[:, :, None] * HEADS + head) * k + keys[None, None, :],
                mask=here[:, :, None] & (keys < k)[None, None, :], other=0.0,
            ).to(tl.float32)  # fmt: skip
            g += dy[:, :, :, None] * q[:, None, :, :]
        entry = ((low_y + ky) * box_x + low_x) * KEYS + kx
        entries = tl.load(
            table + (entry.to(tl.int64) * (DEPTHS * TILE))[:, None] + rows[None, :],
            mask=(k_beyond < 1)[:, None],
            other=0.0,
        )
        g = tl.reshape(g, (COLUMNS, STEP * KEYS)).to(entries.dtype)
        total = tl.dot(g, entries, total, input_precision=PRECISION)
        x, y, beyond = next_offsets(x, y, beyond, width, height, STEP)
        kx, ky, k_beyond = next_offsets(kx, ky, k_beyond, width * KEYS, height, STEP * KEYS)
    c, depths = tl.arange(0, COLUMNS), tl.arange(0, DEPTHS)
    images, channels = image + c // CHANNELS, block * CHANNELS + c % CHANNELS
    position, on_map = tile_positions(y0, x0, size_y, size_x, TILE_Y, TILE_X)
    place = ((images.to(tl.int64) * n)[:, None] + position[None, :])[:, None, :] * u + depths[None, :, None]
    here = ((images < b) & (channels < v))[:, None, None] & (depths < u)[None, :, None] & on_map[None, None, :]
    result = tl.reshape(total, (COLUMNS, DEPTHS, TILE)).to(d_value.dtype.element_ty)
    tl.store(d_value + place * v + channels[:, None, None], result, mask=here)
