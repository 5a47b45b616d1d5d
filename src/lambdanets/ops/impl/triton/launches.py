"""Launch tables: how large the tiles of every kernel are, by architecture, dtype and shape; no tuning at first calls.

The built-in rows are reasoned, not measured: tiles that fill the tensor cores, fit shared memory and spill no register,
which the tests read from the compiled code. Which of two such rows is faster only a GPU can tell.
"""

import functools
import math

from lambdanets.ops.launch import Launch, Pass

SEARCHED_HEADS, SEARCHED_KEYS = 4, 16
"""The paper's: what rows are searched on, u = 1, and what those that are found are used for."""
PROGRAMS, LEAST_STEPS = 528, 8
"""Programs that the gradient of R is cut into, about: four for each multiprocessor of an H100. Its steps, at least."""


def _rows(what: Pass, architecture: int, itemsize: int, *sizes: tuple[int, int, int, int, int, int]) -> list[Launch]:
    return [
        Launch(
            what=what, architecture=architecture, itemsize=itemsize, least_columns=least,
            columns=columns, rows=rows, step=step, warps=warps, stages=stages,
        )
        for least, columns, rows, step, warps, stages in sizes
    ]  # fmt: skip


LAUNCHES: tuple[Launch, ...] = (
    *_rows("output", 80, 2, (0, 32, 128, 32, 8, 3), (64, 64, 128, 32, 4, 3), (128, 128, 128, 32, 8, 3)),
    *_rows("output", 80, 4, (0, 32, 128, 16, 4, 3), (64, 64, 128, 16, 4, 3)),
    *_rows("output", 90, 2, (0, 64, 128, 32, 4, 4), (64, 64, 128, 64, 4, 3)),
    *_rows("output", 90, 2, (128, 128, 128, 64, 4, 4), (1024, 128, 256, 64, 8, 3)),
    *_rows("output", 90, 4, (0, 64, 128, 32, 8, 3)),
    *_rows("query", 80, 2, (0, 32, 128, 32, 8, 3), (64, 64, 128, 32, 4, 3), (128, 128, 128, 32, 8, 3)),
    *_rows("query", 80, 4, (0, 32, 128, 16, 4, 3), (64, 64, 128, 16, 8, 3)),
    *_rows("query", 90, 2, (0, 64, 128, 32, 4, 4), (64, 64, 128, 64, 4, 3), (128, 128, 128, 64, 8, 4)),
    *_rows("query", 90, 4, (0, 64, 128, 32, 8, 3)),
    *_rows("value", 80, 2, (0, 64, 128, 64, 8, 3)),
    *_rows("value", 80, 4, (0, 64, 64, 16, 4, 2)),
    *_rows("value", 90, 2, (0, 64, 128, 64, 4, 3), (128, 128, 128, 64, 8, 3)),
    *_rows("value", 90, 4, (0, 64, 64, 32, 4, 2)),
    *_rows("table", 80, 2, (0, 32, 128, 128, 8, 3)),
    *_rows("table", 80, 4, (0, 32, 128, 32, 8, 2)),
    *_rows("table", 90, 2, (0, 64, 128, 128, 8, 3)),
    *_rows("table", 90, 4, (0, 32, 128, 64, 8, 2)),
)


def launch_columns(what: Pass, b: int, v: int) -> int:
    """The columns that a row of the table is chosen by; 0 for a v that is no multiple of 16.

    Such channels are loaded one by one, which takes registers: the smallest tiles have some left.
    """
    if v % 16:
        return 0
    return v if what in ("value", "table") else b * v


def find_launch(what: Pass, architecture: int, itemsize: int, columns: int, table: tuple[Launch, ...]) -> Launch:
    """The row for the newest architecture not newer than this, and the most columns not above the call's.

    Raises:
        ValueError: the device is older than every row.
    """
    able = [row for row in table if row.what == what and row.itemsize == itemsize and row.architecture <= architecture]
    if not able:
        raise ValueError(
            f"got a GPU of compute capability {architecture / 10}; the order 'triton' wants 8.0 or newer: use another"
        )
    newest = max(row.architecture for row in able)
    mine = [row for row in able if row.architecture == newest and row.least_columns <= columns]
    return max(mine, key=lambda row: row.least_columns)


def column_tile(columns: int, b: int, v: int) -> tuple[int, int]:
    """Images and channels of a column tile, powers of two: as few columns beyond b·v as may be, then many channels."""
    options = [(columns // channels, channels) for channels in _powers(columns, least=min(16, columns))]

    def waste(option: tuple[int, int]) -> tuple[int, int]:
        """Columns of all tiles, and then the number of images."""
        images, channels = option
        return -(-b // images) * -(-v // channels), images

    return min(options, key=waste)


def channel_tile(columns: int, v: int) -> int:
    """Channels of a tile of one image, a power of two: as few beyond v as may be, then many."""
    return min(_powers(columns, least=min(16, columns))[::-1], key=lambda channels: -(-v // channels) * channels)


def table_channels(row: Launch, v: int, h: int) -> int:
    """The same for the gradient of R: half the columns where 5 heads or more in fp32 would spill registers."""
    return channel_tile(row.columns // 2 if row.itemsize == 4 and h > 4 else row.columns, v)


def tile_keys(row: Launch, k: int) -> int:
    """Keys of a tile of queries, a power of two: k, or more where the tile would have over 32 positions."""
    return max(power_of_two(k), row.rows // 32)


def tile_positions(row: Launch, k: int, h: int) -> int:
    """Positions of a tile of queries; of the gradient of R so many that (head, position) has 64 rows or fewer."""
    positions = max(1, row.rows // tile_keys(row, k))
    return min(positions, max(1, 64 // power_of_two(h))) if row.what == "table" else positions


@functools.lru_cache(maxsize=1024)
def position_tile(positions: int, size: tuple[int, int], sides: tuple[int, int]) -> tuple[int, int]:
    """Sides of a tile of so many positions, powers of two, that see as little beyond their windows as may be."""
    options = [(positions // x, x) for x in _powers(positions)]
    return min(options, key=lambda option: (pairs_seen(option, size, sides), option[0]))


@functools.lru_cache(maxsize=1024)
def context_tile(positions: int, size: tuple[int, int], sides: tuple[int, int]) -> tuple[int, int]:
    """The same for the gradient of V, of so many positions or half of them: where that saves more than it costs.

    What the tile's queries are multiplied with is formed anew for every tile, from 16 numbers each. A row of the tile
    is at least 16 bytes of the table; of equal tiles the one of shorter rows takes a smaller table.
    """
    options = [
        (count // x, x)
        for count in (positions, max(1, positions // 2))
        for x in _powers(count, least=min(8, count))
    ]  # fmt: skip
    return min(options, key=lambda tile: (pairs_seen(tile, size, sides) * (1 + 16 / math.prod(tile)), tile[1]))


def expanded_numbers(box: tuple[int, int], tile: tuple[int, int], keys: int, depths: int) -> int:
    """Numbers of the table laid out for a tile of queries."""
    return math.prod(box) * keys * depths * math.prod(tile)


def mirrored_numbers(box: tuple[int, int], tile: tuple[int, int], keys: int, depths: int) -> int:
    """Numbers of the mirrored table laid out for a row of a tile of context positions."""
    return (box[0] + tile[0] - 1) * box[1] * keys * depths * tile[1]


def pairs_seen(tile: tuple[int, int], size: tuple[int, int], sides: tuple[int, int]) -> int:
    """Pairs of a position and one of the box that its tile sees on the map; positions beyond the map included."""
    return math.prod(
        length * sum(min(n, first + length + side // 2) - max(0, first - side // 2) for first in range(0, n, length))
        for length, n, side in zip(tile, size, sides, strict=True)
    )


def offset_tile(offsets: int, box: tuple[int, int]) -> tuple[int, int]:
    """Sides of a block of so many offsets, powers of two, that cover a box with as few beyond it as may be."""
    options = [(offsets // x, x) for x in _powers(offsets)]
    return min(options, key=lambda option: math.prod(-(-n // tile) for n, tile in zip(box, option, strict=True)))


def sum_parts(blocks: int, steps: int) -> int:
    """Parts that the sum of every block of offsets is cut into: about PROGRAMS in all, LEAST_STEPS each or more."""
    return max(1, min(-(-PROGRAMS // blocks), steps // LEAST_STEPS))


def power_of_two(number: int) -> int:
    """The smallest power of two not below the number."""
    return 1 << (number - 1).bit_length()


def _powers(most: int, least: int = 1) -> list[int]:
    return [1 << i for i in range(most.bit_length()) if least <= 1 << i <= most]
