"""The kernel of the gradient of V, whose product runs over the queries that see a tile of context positions.

    dV[v, (u, j)] = Σ_{s, k} G[v, (s, k)] · T'[(s, k), (u, j)]      G[v, (s, k)] = Σ_h dy[v, (h, s)] q[(h, s), k]

s: a query around the tile, j: a position of the tile; one image. G, the gradient of the lambdas, is formed in registers
and used for all the positions of the tile. `T'` is the mirrored table, laid out for a row of a tile (`table.py`).
"""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false
# Triton compiles these functions; to Python's eyes a kernel may iterate over types and take numbers for them.

import triton
import triton.language as tl

from lambdanets.ops.impl.triton.window import (
    first_offsets,
    lambda_gradients,
    next_x,
    tile_positions,
    visible_range,
    way,
)


@triton.jit
def value_gradient_kernel(
    grad, query, table, d_value, b, h, k, v, u, size_y, size_x, box_y, box_x, reach_y, reach_x,
    CHANNELS: tl.constexpr, KEYS: tl.constexpr, DEPTHS: tl.constexpr, TILE_Y: tl.constexpr, TILE_X: tl.constexpr,
    STEP: tl.constexpr, HEADS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dV[image, m, u, v] for a tile of m, all of u and some v of an image; STEP queries at a time."""
    TILE: tl.constexpr = TILE_Y * TILE_X
    size_y, size_x = tl.cast(size_y, tl.int32), tl.cast(size_x, tl.int32)
    # Programs of one tile follow each other: they share their part of the table.
    blocks, tiles_x = tl.cdiv(v, CHANNELS), tl.cdiv(size_x, TILE_X)
    tile, column = tl.program_id(0) // (b * blocks), tl.program_id(0) % (b * blocks)
    y0, x0 = tile // tiles_x * TILE_Y, tile % tiles_x * TILE_X
    image_start = (column // blocks).to(tl.int64) * size_y * size_x
    channels = column % blocks * CHANNELS + tl.arange(0, CHANNELS)
    # T' has rows (dy − ty, dx, k) and columns (u, tx): a row of the tile reads it that much higher.
    j = tl.arange(0, DEPTHS * TILE)
    ty, columns = j % TILE // TILE_X, j // TILE * TILE_X + j % TILE_X
    shifted = columns + (TILE_Y - 1 - ty).to(tl.int64) * (box_x * (KEYS * DEPTHS * TILE_X))
    low_y, high_y = visible_range(y0, reach_y, size_y, box_y)
    low_x, high_x = visible_range(x0, reach_x, size_x, box_x)
    height, width = high_y - low_y, high_x - low_x
    # Queries twice over: once for every head, once for every key.
    by_head, by_key = tl.arange(0, HEADS * STEP), tl.arange(0, STEP * KEYS)
    first = (y0 + low_y - reach_y) * size_x + (x0 + low_x - reach_x)
    hx, hy, _ = first_offsets(by_head % STEP, width, height)
    kx, ky, _ = first_offsets(by_key // KEYS, width, height)
    h_place, k_place, entry = first + hy * size_x + hx, first + ky * size_x + kx, (low_y + ky) * box_x + low_x + kx
    total = tl.zeros((CHANNELS, DEPTHS * TILE), tl.float32)
    for start in range(0, height * width, STEP):
        h_inside, k_inside = by_head % STEP < height * width - start, by_key // KEYS < height * width - start
        g = lambda_gradients(
            grad + image_start * h * v, query + image_start * h * k, h_place, k_place, h_inside, k_inside,
            by_head // STEP, by_head % STEP, by_key // KEYS, by_key % KEYS, channels, h, k, v, True, PRECISION,
        )  # fmt: skip
        entries = tl.load(
            table + ((entry * KEYS + by_key % KEYS).to(tl.int64) * (DEPTHS * TILE_X))[:, None] + shifted[None, :],
            mask=k_inside[:, None], other=0.0,
        )  # fmt: skip
        total = tl.dot(g.to(entries.dtype), entries, total, input_precision=PRECISION)
        hx, h_carry = next_x(hx, width, STEP)
        kx, k_carry = next_x(kx, width, STEP)
        h_place, k_place = h_place + way(h_carry, width, size_x, STEP), k_place + way(k_carry, width, size_x, STEP)
        entry += way(k_carry, width, box_x, STEP)
    depths = tl.arange(0, DEPTHS)
    position, on_map = tile_positions(y0, x0, size_y, size_x, TILE_Y, TILE_X)
    place = (image_start + position)[None, None, :] * u + depths[None, :, None]
    here = (channels < v)[:, None, None] & (depths < u)[None, :, None] & on_map[None, None, :]
    result = tl.reshape(total, (CHANNELS, DEPTHS, TILE)).to(d_value.dtype.element_ty)
    tl.store(d_value + place * v + channels[:, None, None], result, mask=here)
