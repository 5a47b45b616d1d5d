"""The paper's lambda convolution: the table is a kernel of u input and k output channels, v folded into the batch.

    λᵖ[v, n, k] = (R ⋆ V[v, u])[k, n]      y[n, h, v] = Σ_k q[n, h, k] λᵖ[v, n, k]      image by image

Right for small windows. No Conv3d: with v in the batch a map of two axes needs only Conv2d. The lambdas of some value
channels of one image are all that is in memory at a time, with k fastest, so that q meets them without a copy.

The library's backward of such a convolution costs up to ten times its forward, so it is not used: with the r² windows
side by side (im2col) both gradients are matrix products,

    dV = fold(Rᵀ · dλ)        dR = dλ · unfold(V)ᵀ
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lambdanets.ops.cost import Cost, Prices, Work, predicted
from lambdanets.ops.line import backward_on_plane, forward_on_plane
from lambdanets.ops.offsets import crop_table, uncrop_table
from lambdanets.ops.precision import at_least_fp32
from lambdanets.ops.problem import Problem

NAME = "convolution"

GROUP_NUMBERS = 2**19
"""Lambdas, or numbers of unfolded windows, at a time; unless those of a single value channel are more."""

PRICES: Prices = {
    "products": (1.4e-11, 7.6e-11), "kernels": (5.9e-10, 1.6e-09), "lambdas": (7.7e-10, 3e-09),
    "moved": (1.8e-09, 1.1e-09), "groups": (5.3e-05, 0.00013), "windows": (0, 1.9e-09),
    "window products": (0, 3.8e-11), "setup": (0.0001, 9e-05),
}  # fmt: skip
"""Of a multiply-add, a number of the kernel read for an image's channel, a lambda, a number of the maps, a group of
channels; of a number of the windows laid out, a multiply-add with them; of a call."""
BACKWARD_ONLY = "windows", "window products"
"""Kinds of work that the forward pass has none of: it never lays windows out."""


def why_not(problem: Problem) -> str | None:
    """A sentence for maps of three axes; None otherwise."""
    if len(problem.query_size) == 3:
        return "3-D convolutions are slow, and wrong in some releases of PyTorch; convolution takes 1 or 2 map axes"
    return None


def work(problem: Problem) -> Work:
    """How much of each kind the forward pass does; key channels go by the sixteen through the library's convolution."""
    p, maps, wide = problem, problem.b * problem.v, -(-problem.k // 16) * 16
    channels = max(1, GROUP_NUMBERS // (p.k * p.n))
    windows = maps * p.n * p.u * math.prod(p.reach)
    return {
        "products": maps * p.pairs * p.u * wide,
        "kernels": maps * p.u * math.prod(p.reach) * wide,
        "lambdas": maps * p.n * p.k,
        "moved": p.b * p.n * (p.h * p.k + p.u * p.v + p.h * p.v),
        "groups": p.b * -(-p.v // channels),
        "windows": windows,
        "window products": windows * p.k,
        "setup": 1,
    }


def cost(problem: Problem, backward: bool) -> Cost:
    """b·n·r²·k·u·v multiply-adds, window entries outside the map included; a group of lambdas in memory."""
    p, done = problem, work(problem)
    applied, extra = done["lambdas"] * p.h, 2 * max(GROUP_NUMBERS, p.n * p.k)
    multiply_adds = done["window products"] + applied
    if backward:
        multiply_adds = 3 * done["window products"] + 2 * applied
        extra += 2 * max(GROUP_NUMBERS, p.n * p.u * math.prod(p.reach))
    return Cost(round(multiply_adds), extra * p.itemsize, predicted(p, NAME, done, PRICES, backward))


def forward(
    query: Float[Tensor, "b h k *N"], value: Float[Tensor, "b v u *N"], table: Float[Tensor, "k u *R"]
) -> Tensor:
    """The position output, (b, h, v, *N), its channels fastest in memory."""
    return forward_on_plane(_forward, None, query, value, table)


def _forward(query: Tensor, value: Tensor, table: Tensor) -> Tensor:
    kernel, queries = crop_table(table, value.shape[3:]), _by_position(query)
    outputs = query.new_empty(*queries.shape[:3], value.shape[1])
    for image, channels in _groups(value, kernel.shape[0]):
        lambdas = _lambdas(value[image, channels], kernel)
        outputs[image, :, :, channels] = torch.bmm(queries[image], lambdas.permute(1, 2, 0))
    return outputs.permute(0, 2, 3, 1).unflatten(3, query.shape[3:])


def backward(
    grad: Float[Tensor, "b h v *N"],
    query: Float[Tensor, "b h k *N"],
    value: Float[Tensor, "b v u *N"],
    table: Float[Tensor, "k u *R"],
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of query, value and table; those not needed are None. The table's is in fp32 or wider."""
    return backward_on_plane(_backward, None, (grad, query, value, table), needs)


def _backward(
    grad: Tensor, query: Tensor, value: Tensor, table: Tensor, needs: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    size, wide = value.shape[3:], at_least_fp32(query.dtype)
    kernel, queries, grads = crop_table(table, size), _by_position(query), _by_position(grad)
    d_queries = torch.zeros_like(queries, dtype=wide)
    d_value = torch.empty_like(value, memory_format=torch.contiguous_format)
    d_kernel = torch.zeros_like(kernel, dtype=wide, memory_format=torch.contiguous_format)
    for image, channels in _groups(value, kernel.shape[0]):
        dy = grads[image, :, :, channels]
        if needs[0]:
            lambdas = _lambdas(value[image, channels], kernel)
            d_queries[image] += torch.bmm(dy, lambdas.transpose(0, 1))
        if needs[1] or needs[2]:
            d_lambdas = torch.bmm(queries[image].transpose(1, 2), dy).permute(2, 1, 0).contiguous()  # v k n
            _window_gradients(d_lambdas, value[image, channels], kernel, d_value[image, channels], d_kernel, needs[1:])
    return (
        d_queries.to(query.dtype).permute(0, 2, 3, 1).unflatten(3, size) if needs[0] else None,
        d_value if needs[1] else None,
        uncrop_table(d_kernel, table.shape[2:]) if needs[2] else None,
    )


def _groups(value: Tensor, k: int) -> Iterator[tuple[int, slice]]:
    """Image by image, as many value channels as the lambdas of a group allow."""
    step = max(1, GROUP_NUMBERS // (k * value.shape[3:].numel()))
    for image in range(value.shape[0]):
        for first in range(0, value.shape[1], step):
            yield image, slice(first, min(value.shape[1], first + step))


def _by_position(maps: Tensor) -> Tensor:
    """(b, h, c, *N) as (b, n, h, c), dense."""
    return maps.flatten(3).permute(0, 3, 1, 2).contiguous()


def _lambdas(values: Tensor, kernel: Tensor) -> Tensor:
    """λᵖ as (v, n, k), dense, of values (v, u, *N)."""
    last = torch.channels_last
    lambdas = F.conv2d(
        values.contiguous(memory_format=last), kernel.contiguous(memory_format=last), padding=_padding(kernel)
    )
    return lambdas.permute(0, 2, 3, 1).flatten(1, 2).contiguous()


def _window_gradients(
    d_lambdas: Tensor, values: Tensor, kernel: Tensor, d_values: Tensor, d_kernel: Tensor, needs: tuple[bool, ...]
) -> None:
    """Fill dV and add to dR, from dλ (v, k, n) of values (v, u, *N), a few channels at a time."""
    sides, padding, size = tuple(kernel.shape[2:]), _padding(kernel), values.shape[2:]
    weights = kernel.flatten(1).T.to(d_kernel.dtype)  # u·r² k
    step = max(1, GROUP_NUMBERS // (weights.shape[0] * size.numel()))
    for first in range(0, len(values), step):
        channels = slice(first, first + step)
        d_group = d_lambdas[channels].to(d_kernel.dtype)
        if needs[0]:
            d_values[channels] = F.fold(weights @ d_group, tuple(size), sides, padding=padding)
        if needs[1]:
            windows = F.unfold(values[channels].to(d_kernel.dtype), sides, padding=padding)  # v u·r² n
            d_kernel += torch.bmm(d_group, windows.transpose(1, 2)).sum(0).view_as(d_kernel)


def _padding(kernel: Tensor) -> tuple[int, int]:
    return kernel.shape[2] // 2, kernel.shape[3] // 2
