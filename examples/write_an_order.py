"""A contraction order of your own, held against the reference.

    python examples/write_an_order.py

y = Σ_{m,k,u} q R V may be summed in any order. This one contracts the query with the table first, into one score for
each pair of positions, and then sums values: attention's order, without a softmax.
"""

import torch
from torch import Tensor

from lambdanets.ops import Problem
from lambdanets.ops.offsets import toeplitz
from lambdanets.testing import make_inputs, output_and_gradients, relative_error

NAME = "scores"


def why_not(problem: Problem) -> str | None:
    """None: able for every map and every table; else a sentence."""
    return None


def multiply_adds(problem: Problem) -> int:
    """b·h·n·m·u·(k + v)."""
    p = problem
    return p.b * p.h * p.n * p.m * p.u * (p.k + p.v)


def forward(query: Tensor, value: Tensor, table: Tensor) -> Tensor:
    """The position output, (b, h, v, *N)."""
    size = query.shape[3:]
    n = size.numel()
    embeddings = toeplitz(table, size).reshape(*table.shape[:2], n, n)  # (k, u, n, m)
    scores = torch.einsum("bhkn,kunm->bhunm", query.flatten(3), embeddings)
    return torch.einsum("bhunm,bvum->bhvn", scores, value.flatten(3)).unflatten(3, size)


def backward(grad: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients of query, value and table; a real order writes them by hand, and saves memory."""
    inputs = tuple(tensor.detach().requires_grad_() for tensor in inputs)
    return torch.autograd.grad(forward(*inputs), inputs, grad)


def main() -> None:
    problem = Problem(b=2, v=64, query_size=(7, 10), context_size=(7, 10), scope=(5, 23), content=False)
    inputs = make_inputs(problem)
    grad = torch.randn(2, 4, 64, 7, 10, dtype=torch.float64)
    truth = output_and_gradients(inputs, "reference", grad)
    tensors = inputs.query, inputs.value, inputs.table
    results = (forward(*tensors), *backward(grad, *tensors))
    for (name, wanted), got in zip(truth.items(), results, strict=True):
        print(f"{name}: relative error {relative_error(got, wanted):.1e}")
    print(f"{NAME}: {multiply_adds(problem):,} multiply-adds; put it in ops/impl and into ORDERS in ops/choice.py")


if __name__ == "__main__":
    main()
