"""What the fused kernels cost: multiply-adds of the boxes that tiles see, and the table laid out."""

from lambdanets.ops.cost import Cost, Prices, Work, predicted
from lambdanets.ops.impl.triton.launches import (
    Launch,
    Pass,
    context_tile,
    expanded_numbers,
    find_launch,
    launch_columns,
    mirrored_numbers,
    offset_tile,
    pairs_seen,
    position_tile,
    power_of_two,
    sum_parts,
    table_channels,
    tile_positions,
)
from lambdanets.ops.problem import Problem

NAME = "triton"
GRADIENTS: tuple[Pass, ...] = ("query", "value", "table")
"""The passes of the backward pass."""
PRICES: dict[int, Prices] = {
    2: {"products": (6.7e-15, 0), "gradient products": (0, 6.7e-15), "setup": (3e-5, 9e-5)},
    4: {"products": (6.7e-14, 0), "gradient products": (0, 6.7e-14), "setup": (3e-5, 9e-5)},
}
"""By bytes of a number: of a multiply-add of the output, one of the three gradients, a call. Assumed, not measured: a
third of an H100's data sheet, and 10 µs a launch; `ops/measured_prices.py` holds what was measured."""


def count_work(problem: Problem, launches: tuple[Launch, ...]) -> Work:
    """How much of each kind there is; unlike other orders', the gradients' products are counted by themselves."""
    return {
        "products": _products(problem, "output", launches),
        "gradient products": sum(_products(problem, what, launches) for what in GRADIENTS),
        "setup": 1,
    }


def count_cost(problem: Problem, backward: bool, launches: tuple[Launch, ...]) -> Cost:
    """b·n·k·u·v multiply-adds a position of the box that a tile of queries sees; three of it backward, dV's larger."""
    p, done, passes = problem, count_work(problem, launches), len(GRADIENTS) if backward else 1
    products = round(done["gradient products" if backward else "products"])
    parts = predicted(p, NAME, done, PRICES[min(4, p.itemsize)], backward)
    return Cost(products + passes * p.b * p.n * p.h * p.k * p.v, _extra_bytes(p, backward, launches), parts)


def _plane(problem: Problem) -> tuple[tuple[int, int], tuple[int, int]]:
    """Sides of the map and of the cropped table, a map of one axis as a row."""
    p, padding = problem, (1,) * (2 - len(problem.query_size))
    size, sides = (*padding, *p.query_size), (*padding, *p.reach)
    return (size[0], size[1]), (sides[0], sides[1])


def _tile(problem: Problem, what: Pass, launches: tuple[Launch, ...]) -> tuple[Launch, tuple[int, int]]:
    """The launch row as on the newest architecture, and the tile it makes of this map."""
    p = problem
    columns = launch_columns(what, p.b, p.v)
    newest = max(row.architecture for row in launches)
    row = find_launch(what, newest, min(4, p.itemsize), columns, launches)
    if what == "value":
        return row, context_tile(max(1, row.rows // power_of_two(p.u)), *_plane(p))
    return row, position_tile(tile_positions(row, p.k, p.h), *_plane(p))


def _products(problem: Problem, what: Pass, launches: tuple[Launch, ...]) -> int:
    """Multiply-adds of one pass, those of a tile that its window does not need included."""
    p, (_, tile) = problem, _tile(problem, what, launches)
    size, sides = _plane(p)
    return p.b * p.k * p.u * p.v * pairs_seen(tile, size, sides)


def _extra_bytes(problem: Problem, backward: bool, launches: tuple[Launch, ...]) -> int:
    """The table laid out for a tile; backward also mirrored, and the parts of its gradient in fp32."""
    p = problem
    passes: tuple[Pass, ...] = GRADIENTS if backward else ("output",)
    sizes = 0
    for what in passes:
        row, tile = _tile(p, what, launches)
        (height, width), sides = _plane(p)
        box = sides[0] + tile[0] - 1, sides[1] + tile[1] - 1
        keys = power_of_two(p.k)
        if what == "value":
            sizes += mirrored_numbers(box, tile, keys, power_of_two(p.u)) * p.itemsize
            continue
        expanded = expanded_numbers(box, tile, keys, p.u)
        if what in ("output", "query"):
            sizes += expanded * p.itemsize
            continue
        block, tiles = offset_tile(row.step, box), -(-height // tile[0]) * -(-width // tile[1])
        blocks = p.u * -(-box[0] // block[0]) * -(-box[1] // block[1])
        sizes += 4 * expanded * sum_parts(blocks, tiles * p.b * -(-p.v // table_channels(row, p.v, p.h)))
    return sizes
