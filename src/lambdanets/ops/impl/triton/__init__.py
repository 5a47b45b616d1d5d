"""Fused kernels for NVIDIA GPUs: lambdas are formed and used up in registers, never written to memory.

    λ[(b, v), (k, n)] = Σ_s V[(b, v), s] T[s, (k, n)]        y[b, h, v, n] = Σ_k q[b, h, k, n] λ[(b, v), (k, n)]

A program takes a tile of queries n and some channels of some images. Its sum over the context s is one matrix product
on the tensor cores, the table laid out as a matrix T that all tiles share, the product with q its epilogue. Backward
recomputes: dq is the same product with another epilogue; dV and dR are products with G[b, k, v, n] = Σ_h q dy, which is
formed in registers too. Sums are taken in a fixed order, without atomics: equal inputs give equal bits.

Triton is imported when the first kernel is wanted, and only inside this package.
"""

import importlib.util
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from lambdanets.ops.cost import Cost, Prices, Work, predicted
from lambdanets.ops.impl.triton.launches import (
    LAUNCHES,
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
from lambdanets.ops.line import backward_on_plane, forward_on_plane
from lambdanets.ops.problem import Problem

NAME = "triton"

MOST_KEYS, MOST_HEADS, MOST_DEPTHS = 64, 16, 16
"""Of k, h and u: a program holds all keys of a position, and unrolls the heads and depths."""
GRADIENTS: tuple[Pass, ...] = ("query", "value", "table")
"""The passes of the backward pass."""
OLDEST = (8, 0)
"""Compute capability of the first GPUs with tensor cores for bf16."""
PRICES: dict[int, Prices] = {
    2: {"products": (6.7e-15, 0), "gradient products": (0, 6.7e-15), "setup": (3e-5, 9e-5)},
    4: {"products": (6.7e-14, 0), "gradient products": (0, 6.7e-14), "setup": (3e-5, 9e-5)},
}
"""By bytes of a number: of a multiply-add of the output, one of the three gradients, a call. Assumed, not measured: a
third of an H100's data sheet, and 10 µs a launch; `ops/measured_prices.py` holds what was measured."""
BACKWARD_ONLY = ("gradient products",)
"""Kinds of work that the forward pass has none of."""


def why_not(problem: Problem) -> str | None:
    """A sentence for what the kernels do not take, and where there is no GPU or no Triton; None otherwise."""
    if problem.device != "cuda":
        return f"the tensors are on {problem.device}; its fused kernels need an NVIDIA GPU"
    if torch.version.hip is not None:
        return "PyTorch is built for AMD GPUs here; the kernels of triton are for NVIDIA's, and untried on others"
    if torch.cuda.is_available() and torch.cuda.get_device_capability() < OLDEST:
        return f"the GPU is older than compute capability {OLDEST[0]}.{OLDEST[1]}, which the kernels want"
    if problem.dtype not in (torch.bfloat16, torch.float16, torch.float32):
        return f"the kernels sum in fp32; triton takes bf16, fp16 and fp32, not {problem.dtype}"
    if len(problem.query_size) == 3:
        return "the kernels tile planes; triton takes 1 or 2 map axes"
    for letter, got, most in (("k", problem.k, MOST_KEYS), ("h", problem.h, MOST_HEADS), ("u", problem.u, MOST_DEPTHS)):
        if got > most:
            return f"a program holds at most {most} of {letter}, got {got}"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed; it comes with PyTorch for CUDA on Linux, or by `pip install triton`"
    return None


def work(problem: Problem) -> Work:
    """How much of each kind there is; unlike other orders', the gradients' products are counted by themselves."""
    return {
        "products": _products(problem, "output"),
        "gradient products": sum(_products(problem, what) for what in GRADIENTS),
        "setup": 1,
    }


def cost(problem: Problem, backward: bool) -> Cost:
    """b·n·k·u·v multiply-adds a position of the box that a tile of queries sees; three of it backward, dV's larger."""
    p, done, passes = problem, work(problem), len(GRADIENTS) if backward else 1
    products = round(done["gradient products" if backward else "products"])
    seconds = predicted(p, NAME, done, PRICES[min(4, p.itemsize)], backward)
    return Cost(products + passes * p.b * p.n * p.h * p.k * p.v, _extra_bytes(p, backward), seconds)


def forward(
    query: Float[Tensor, "b h k *N"], value: Float[Tensor, "b v u *N"], table: Float[Tensor, "k u *R"]
) -> Tensor:
    """The position output, (b, h, v, *N), its channels fastest in memory."""
    return forward_on_plane(_forward, None, query, value, table)


def backward(
    grad: Float[Tensor, "b h v *N"],
    query: Float[Tensor, "b h k *N"],
    value: Float[Tensor, "b v u *N"],
    table: Float[Tensor, "k u *R"],
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of query, value and table; those not needed are None. The table's is in fp32."""
    return backward_on_plane(_backward, None, (grad, query, value, table), needs)


def _forward(query: Tensor, value: Tensor, table: Tensor) -> Tensor:
    from lambdanets.ops.impl.triton.run import Maps, run_output

    with _on_device(query):
        return run_output(Maps.of(query, value, table)).permute(0, 3, 4, 1, 2)


def _backward(
    grad: Tensor, query: Tensor, value: Tensor, table: Tensor, needs: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    from lambdanets.ops.impl.triton.run import Maps, run_query_gradient, run_table_gradient, run_value_gradient

    with _on_device(query):
        maps, grads = Maps.of(query, value, table), grad.permute(0, 3, 4, 1, 2).contiguous()
        return (
            run_query_gradient(maps, grads).permute(0, 3, 4, 1, 2) if needs[0] else None,
            run_value_gradient(maps, grads).permute(0, 4, 3, 1, 2) if needs[1] else None,
            run_table_gradient(maps, grads, tuple(table.shape[2:])) if needs[2] else None,
        )


def _on_device(tensor: Tensor) -> AbstractContextManager[object]:
    """A block in which kernels go to the tensor's GPU."""
    return torch.cuda.device(tensor.device) if tensor.device.type == "cuda" else nullcontext()


def _plane(problem: Problem) -> tuple[tuple[int, int], tuple[int, int]]:
    """Sides of the map and of the cropped table, a map of one axis as a row."""
    p, padding = problem, (1,) * (2 - len(problem.query_size))
    size, sides = (*padding, *p.query_size), (*padding, *p.reach)
    return (size[0], size[1]), (sides[0], sides[1])


def _tile(problem: Problem, what: Pass) -> tuple[Launch, tuple[int, int]]:
    """The launch row as on the newest architecture, and the tile it makes of this map."""
    p = problem
    columns = launch_columns(what, p.b, p.v)
    row = find_launch(what, max(row.architecture for row in LAUNCHES), min(4, p.itemsize), columns, LAUNCHES)
    if what == "value":
        return row, context_tile(max(1, row.rows // power_of_two(p.u)), *_plane(p))
    return row, position_tile(tile_positions(row, p.k, p.h), *_plane(p))


def _products(problem: Problem, what: Pass) -> int:
    """Multiply-adds of one pass, those of a tile that its window does not need included."""
    p, (_, tile) = problem, _tile(problem, what)
    size, sides = _plane(p)
    return p.b * p.k * p.u * p.v * pairs_seen(tile, size, sides)


def _extra_bytes(problem: Problem, backward: bool) -> int:
    """The table laid out for a tile; backward also mirrored, and the parts of its gradient in fp32."""
    p = problem
    passes: tuple[Pass, ...] = GRADIENTS if backward else ("output",)
    sizes = 0
    for what in passes:
        row, tile = _tile(p, what)
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
