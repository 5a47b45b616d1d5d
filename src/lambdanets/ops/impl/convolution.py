"""The paper's lambda convolution: the table is a kernel of u input and k output channels, v folded into the batch.

    λᵖ[b·v, k, n] = (R ⋆ V[b·v, u])[k, n]      y[b, h, v, n] = Σ_k q[b, h, k, n] λᵖ[b, v, k, n]

Right for small windows. No Conv3d: with v in the batch a map of two axes needs only Conv2d.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lambdanets.ops.cost import Cost
from lambdanets.ops.offsets import crop_table, uncrop_table
from lambdanets.ops.problem import Problem

NAME = "convolution"


def why_not(problem: Problem) -> str | None:
    """A sentence for maps of three axes; None otherwise."""
    if len(problem.query_size) == 3:
        return "3-D convolutions are slow, and wrong in some releases of PyTorch; convolution takes 1 or 2 map axes"
    return None


def cost(problem: Problem, backward: bool) -> Cost:
    """b·n·r²·k·u·v multiply-adds, window entries outside the map included; the lambdas in memory."""
    p = problem
    window = 1
    for side in p.reach:
        window *= side
    lambdas = p.b * p.n * window * p.k * p.u * p.v
    apply = p.b * p.n * p.h * p.k * p.v
    numbers = (2 if backward else 1) * p.b * p.n * p.k * p.v
    if backward:  # the weight gradient, of one input channel, is what costs
        return Cost(3 * lambdas + 2 * apply, numbers * p.itemsize, efficiency=0.3 if window <= 49 else 0.08)
    return Cost(lambdas + apply, numbers * p.itemsize, efficiency=0.7)


def forward(
    query: Float[Tensor, "b h k *N"], value: Float[Tensor, "b v u *N"], table: Float[Tensor, "k u *R"]
) -> Tensor:
    """The position output, (b, h, v, *N)."""
    lambdas = _lambdas(value, crop_table(table, value.shape[3:]))
    return torch.einsum("bhkn,bvkn->bhvn", query.flatten(3), lambdas).unflatten(3, query.shape[3:])


def backward(
    grad: Float[Tensor, "b h v *N"],
    query: Float[Tensor, "b h k *N"],
    value: Float[Tensor, "b v u *N"],
    table: Float[Tensor, "k u *R"],
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of query, value and table; those not needed are None."""
    size, dy = value.shape[3:], grad.flatten(3)
    kernel = crop_table(table, size)
    d_query = d_value = d_table = None
    if needs[0]:
        d_query = torch.einsum("bhvn,bvkn->bhkn", dy, _lambdas(value, kernel)).unflatten(3, size)
    if needs[1] or needs[2]:
        d_lambdas = torch.einsum("bhkn,bhvn->bvkn", query.flatten(3), dy).flatten(0, 1).unflatten(2, size)
        d_images, d_kernel, _ = torch.ops.aten.convolution_backward(
            d_lambdas, value.flatten(0, 1), kernel, None, [1] * len(size), _padding(kernel), [1] * len(size),
            False, [0] * len(size), 1, [needs[1], needs[2], False],
        )  # fmt: skip
        d_value = d_images.unflatten(0, value.shape[:2]) if needs[1] else None
        d_table = uncrop_table(d_kernel, table.shape[2:]) if needs[2] else None
    return d_query, d_value, d_table


def _lambdas(value: Tensor, kernel: Tensor) -> Tensor:
    """λᵖ of shape (b, v, k, n): one image a batch entry and value channel."""
    convolve = F.conv1d if kernel.ndim == 3 else F.conv2d
    lambdas = convolve(value.flatten(0, 1), kernel, padding=_padding(kernel))
    return lambdas.flatten(2).unflatten(0, value.shape[:2])


def _padding(kernel: Tensor) -> list[int]:
    return [side // 2 for side in kernel.shape[2:]]
