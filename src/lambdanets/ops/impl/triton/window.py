"""Kernels whose product runs over the context of a tile of queries: the output and the gradient of q.

A program holds the lambdas of a tile of queries, for some value channels of some images, in registers:

    λ[c, (k, i)] = Σ_s V[c, context s] · T[s, (k, i)]      c: (image, v), i: (ty, tx) of the tile, s: (u, dy, dx)

`T` is the table laid out for a tile (`table.py`), the same for every tile of the map: a dense matrix, read through L2.
The sum runs over the part of the window that lies on the map, without its edges: no product of it is masked.
"""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false
# Triton compiles these functions; to Python's eyes a kernel may iterate over types and take numbers for them.

import triton
import triton.language as tl


@triton.jit
def first_offsets(s, width, height):
    """Where offsets of a box (u, height, width) lie in it, as (x, y, u)."""
    row = s // width
    return s % width, row % height, row // height


@triton.jit
def next_x(x, width, STEP: tl.constexpr):
    """The x of offsets STEP further on, and whether it has been carried over into the next row.

    Offsets are counted on like digits: a division costs twenty instructions, and tensor cores do not wait for them.
    """
    x += STEP % width
    carry = x >= width
    return tl.where(carry, x - width, x), carry


@triton.jit
def way(carry, width, row, STEP: tl.constexpr):
    """How far these offsets have come where rows are `row` long."""
    return STEP // width * row + STEP % width + tl.where(carry, row - width, 0)


@triton.jit
def next_y(y, carry_x, width, height, STEP: tl.constexpr):
    """The y of the same offsets, and how many times it has been carried over into the next u."""
    y += STEP // width % height + carry_x.to(tl.int32)
    carry = y >= height
    return tl.where(carry, y - height, y), STEP // width // height + carry.to(tl.int32)


@triton.jit
def visible_range(first, reach, size, side):
    """From which to which entry of a box of this side, `reach` before `first`, it lies on a map of this size."""
    return tl.maximum(reach - first, 0), tl.minimum(size + reach - first, side)


@triton.jit
def program_tiles(
    size_y, size_x, v, IMAGES: tl.constexpr, CHANNELS: tl.constexpr, TILE_Y: tl.constexpr, TILE_X: tl.constexpr
):
    """First row and column of this program's tile of positions; its first image and its block of channels.

    One axis of programs, for the others end at 65 535; neighbours share their columns of V.
    """
    tiles_x, blocks = tl.cdiv(size_x, TILE_X), tl.cdiv(v, CHANNELS)
    tiles = tl.cdiv(size_y, TILE_Y) * tiles_x
    tile, column = tl.program_id(0) % tiles, tl.program_id(0) // tiles
    return tile // tiles_x * TILE_Y, tile % tiles_x * TILE_X, column // blocks * IMAGES, column % blocks


@triton.jit
def tile_lambdas(
    value, table, image, channel, y0, x0, b, size_y, size_x, u, v, box_y, box_x, reach_y, reach_x,
    IMAGES: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr, DEEP: tl.constexpr,
    BY_COLUMN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The lambdas of one tile in fp32, columns c by rows (k, i) if BY_COLUMN, else rows by columns.

    `image` and `channel` are the first of the IMAGES · CHANNELS columns.
    """
    COLUMNS: tl.constexpr = IMAGES * CHANNELS
    c = tl.arange(0, COLUMNS)
    images, channels = image + c // CHANNELS, channel + c % CHANNELS
    exists = (images < b) & (channels < v)
    low_y, high_y = visible_range(y0, reach_y, size_y, box_y)
    low_x, high_x = visible_range(x0, reach_x, size_x, box_x)
    height, width = high_y - low_y, high_x - low_x
    n = size_y.to(tl.int64) * size_x
    columns = value + images.to(tl.int64) * n * u * v + channels
    rows, s = tl.arange(0, ROWS), tl.arange(0, STEP)
    x, y, ui = first_offsets(s, width, height)
    place = ((y0 + low_y - reach_y + y) * size_x + (x0 + low_x - reach_x + x)) * u + ui
    entry = (ui * box_y + low_y + y) * box_x + low_x + x
    total = u * height * width
    if BY_COLUMN:
        lambdas = tl.zeros((COLUMNS, ROWS), tl.float32)
    else:
        lambdas = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, total, STEP):
        inside = s < total - start
        values = tl.load(
            columns[None, :] + (place.to(tl.int64) * v)[:, None], mask=inside[:, None] & exists[None, :], other=0.0
        )
        entries = tl.load(table + (entry.to(tl.int64) * ROWS)[:, None] + rows[None, :], mask=inside[:, None], other=0.0)
        if BY_COLUMN:
            lambdas = tl.dot(tl.trans(values), entries, lambdas, input_precision=PRECISION)
        else:
            lambdas = tl.dot(tl.trans(entries), values, lambdas, input_precision=PRECISION)
        x, carry = next_x(x, width, STEP)
        place, entry = place + way(carry, width, size_x, STEP) * u, entry + way(carry, width, box_x, STEP)
        if DEEP:
            y, deeper = next_y(y, carry, width, height, STEP)
            place, entry = place + deeper * (1 - height * size_x * u), entry + deeper * ((box_y - height) * box_x)
    return lambdas


@triton.jit
def tile_positions(y0, x0, size_y, size_x, TILE_Y: tl.constexpr, TILE_X: tl.constexpr):
    """The positions of a tile, flattened, and whether they are on the map."""
    i = tl.arange(0, TILE_Y * TILE_X)
    y, x = y0 + i // TILE_X, x0 + i % TILE_X
    return y.to(tl.int64) * size_x + x, (y < size_y) & (x < size_x)


@triton.jit
def program_lambdas(
    value, table, b, size_y, size_x, u, v, box_y, box_x, reach_y, reach_x,
    IMAGES: tl.constexpr, CHANNELS: tl.constexpr, KEYS: tl.constexpr, TILE_Y: tl.constexpr, TILE_X: tl.constexpr,
    STEP: tl.constexpr, DEEP: tl.constexpr, BY_COLUMN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The lambdas of this program's tile, and whose they are: block of channels, images, channels, keys, positions.

    The positions are flattened, with whether they are on the map. The lambdas are as those of `tile_lambdas`.
    """
    y0, x0, image, block = program_tiles(size_y, size_x, v, IMAGES, CHANNELS, TILE_Y, TILE_X)
    lambdas = tile_lambdas(
        value, table, image, block * CHANNELS, y0, x0, b, size_y, size_x, u, v, box_y, box_x, reach_y, reach_x,
        IMAGES, CHANNELS, KEYS * TILE_Y * TILE_X, STEP, DEEP, BY_COLUMN, PRECISION,
    )  # fmt: skip
    images, channels = image + tl.arange(0, IMAGES), block * CHANNELS + tl.arange(0, CHANNELS)
    keys = tl.arange(0, KEYS)
    position, on_map = tile_positions(y0, x0, size_y, size_x, TILE_Y, TILE_X)
    return lambdas, block, images, channels, keys, position, on_map


@triton.jit
def lambda_gradients(
    grad, query, head_place, key_place, head_exists, key_exists, head, head_item, key_item, key, channels, h, k, v,
    BY_CHANNEL: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """G[v, (i, k)] = Σ_h dy[v, (h, i)] q[(h, i), k] in fp32, for some queries i of one image; else its transpose.

    A product of matrices, q laid out with zeros where the query i of a head is not that of a key: more products than
    needed, but on tensor cores. `head_*` are of every (h, i), `key_*` of every (i, k); a place is a position of the
    image that `grad` and `query` point to.
    """
    heads_here = head_exists & (head < h)
    dy = tl.load(
        grad + ((head_place * h + head).to(tl.int64) * v)[:, None] + channels[None, :],
        mask=heads_here[:, None] & (channels < v)[None, :], other=0.0,
    )  # fmt: skip
    q = tl.load(
        query + (head * k)[:, None] + ((key_place * h).to(tl.int64) * k + key)[None, :],
        mask=(head_item[:, None] == key_item[None, :]) & heads_here[:, None] & (key_exists & (key < k))[None, :],
        other=0.0,
    )
    if BY_CHANNEL:
        g = tl.dot(tl.trans(dy), q, input_precision=PRECISION)
    else:
        g = tl.dot(tl.trans(q), dy, input_precision=PRECISION)
    return g


@triton.jit
def output_kernel(
    query, value, table, output, b, h, k, v, u, size_y, size_x, box_y, box_x, reach_y, reach_x,
    IMAGES: tl.constexpr, CHANNELS: tl.constexpr, KEYS: tl.constexpr, TILE_Y: tl.constexpr, TILE_X: tl.constexpr,
    STEP: tl.constexpr, DEEP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """y[image, n, h, v] = Σ_k q[image, n, h, k] λ[(image, v), (k, n)] for a tile of n and some (image, v)."""
    TILE: tl.constexpr = TILE_Y * TILE_X
    size_y, size_x = tl.cast(size_y, tl.int32), tl.cast(size_x, tl.int32)
    lambdas, _, images, channels, keys, position, on_map = program_lambdas(
        value, table, b, size_y, size_x, u, v, box_y, box_x, reach_y, reach_x,
        IMAGES, CHANNELS, KEYS, TILE_Y, TILE_X, STEP, DEEP, True, PRECISION,
    )  # fmt: skip
    lambdas = tl.reshape(lambdas, (IMAGES, CHANNELS, KEYS, TILE))
    place = (images.to(tl.int64) * size_y * size_x)[:, None] + position[None, :]  # IMAGES TILE
    here = (images < b)[:, None] & on_map[None, :]
    for head in range(h):
        q = tl.load(
            query + (place[:, None, :] * h + head) * k + keys[None, :, None],
            mask=here[:, None, :] & (keys < k)[None, :, None], other=0.0,
        ).to(tl.float32)  # fmt: skip
        y = tl.sum(lambdas * q[:, None, :, :], axis=2)  # IMAGES CHANNELS TILE
        tl.store(
            output + (place[:, None, :] * h + head) * v + channels[None, :, None],
            y.to(output.dtype.element_ty), mask=here[:, None, :] & (channels < v)[None, :, None],
        )  # fmt: skip


@triton.jit
def query_gradient_kernel(
    grad, value, table, d_query, b, h, k, v, u, size_y, size_x, box_y, box_x, reach_y, reach_x,
    IMAGES: tl.constexpr, CHANNELS: tl.constexpr, KEYS: tl.constexpr, TILE_Y: tl.constexpr, TILE_X: tl.constexpr,
    STEP: tl.constexpr, DEEP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dq[block of v, image, n, h, k] = Σ_v dy[image, n, h, v] λ[(k, n), (image, v)], the sum over this block of v."""
    TILE: tl.constexpr = TILE_Y * TILE_X
    size_y, size_x = tl.cast(size_y, tl.int32), tl.cast(size_x, tl.int32)
    lambdas, block, images, channels, keys, position, on_map = program_lambdas(
        value, table, b, size_y, size_x, u, v, box_y, box_x, reach_y, reach_x,
        IMAGES, CHANNELS, KEYS, TILE_Y, TILE_X, STEP, DEEP, False, PRECISION,
    )  # fmt: skip
    lambdas = tl.reshape(lambdas, (KEYS, TILE, IMAGES, CHANNELS))
    n = size_y.to(tl.int64) * size_x
    place = position[:, None] + (images.to(tl.int64) * n)[None, :]  # TILE IMAGES
    here = on_map[:, None] & (images < b)[None, :]
    part = d_query + block.to(tl.int64) * b * n * h * k
    for head in range(h):
        dy = tl.load(
            grad + (place[:, :, None] * h + head) * v + channels[None, None, :],
            mask=here[:, :, None] & (channels < v)[None, None, :], other=0.0,
        ).to(tl.float32)  # fmt: skip
        dq = tl.sum(lambdas * dy[None, :, :, :], axis=3)  # KEYS TILE IMAGES
        tl.store(
            part + (place[None, :, :] * h + head) * k + keys[:, None, None],
            dq.to(d_query.dtype.element_ty), mask=here[None, :, :] & (keys < k)[:, None, None],
        )  # fmt: skip
