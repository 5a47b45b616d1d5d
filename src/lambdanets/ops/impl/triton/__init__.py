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
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambdanets.ops.cost import Cost, Work
from lambdanets.ops.impl.triton.launches import LAUNCHES, SEARCHED_HEADS, SEARCHED_KEYS, power_of_two
from lambdanets.ops.impl.triton.pricing import NAME, count_cost, count_work
from lambdanets.ops.launch import Launch
from lambdanets.ops.line import Gradients, Needs, backward_on_plane, forward_on_plane
from lambdanets.ops.problem import Problem

MOST_KEYS, MOST_HEADS, MOST_DEPTHS = 64, 16, 16
"""Of k, h and u: a program holds all keys of a position, and unrolls the heads and depths."""
OLDEST = (8, 0)
"""Compute capability of the first GPUs with tensor cores for bf16."""
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
    return count_work(problem, LAUNCHES)


def cost(problem: Problem, backward: bool, launches: tuple[Launch, ...] = LAUNCHES) -> Cost:
    """b·n·k·u·v multiply-adds a position of the box that a tile of queries sees; three of it backward, dV's larger."""
    return count_cost(problem, backward, launches)


def forward(
    query: Float[Tensor, "b h k *N"],
    value: Float[Tensor, "b v u *N"],
    table: Float[Tensor, "k u *R"],
    launches: tuple[Launch, ...] = LAUNCHES,
) -> Tensor:
    """The position output, (b, h, v, *N), its channels fastest in memory."""

    def on_plane(query: Tensor, value: Tensor, table: Tensor) -> Tensor:
        from lambdanets.ops.impl.triton.run import Maps, run_output

        with _on_device(query):
            return run_output(Maps.of(query, value, table, launches)).permute(0, 3, 4, 1, 2)

    return forward_on_plane(on_plane, None, query, value, table)


def backward(
    grad: Float[Tensor, "b h v *N"],
    query: Float[Tensor, "b h k *N"],
    value: Float[Tensor, "b v u *N"],
    table: Float[Tensor, "k u *R"],
    needs: tuple[bool, bool, bool],
    launches: tuple[Launch, ...] = LAUNCHES,
) -> Gradients:
    """Gradients of query, value and table; those not needed are None. The table's is in fp32."""

    def on_plane(grad: Tensor, query: Tensor, value: Tensor, table: Tensor, needs: Needs) -> Gradients:
        from lambdanets.ops.impl.triton.run import Maps, run_query_gradient, run_table_gradient, run_value_gradient

        with _on_device(query):
            maps, grads = Maps.of(query, value, table, launches), grad.permute(0, 3, 4, 1, 2).contiguous()
            return (
                run_query_gradient(maps, grads).permute(0, 3, 4, 1, 2) if needs[0] else None,
                run_value_gradient(maps, grads).permute(0, 4, 3, 1, 2) if needs[1] else None,
                run_table_gradient(maps, grads, tuple(table.shape[2:])) if needs[2] else None,
            )

    return backward_on_plane(on_plane, None, (grad, query, value, table), needs)


@dataclass(frozen=True)
class Launched:
    """This order by other rows of the launch table: those that `lambdanets tune` found for a GPU.

    They hold on GPUs of the same compute capability, and for layers that they were searched on: tiles that fit there
    need not fit elsewhere. All others go by the built-in rows.
    """

    launches: tuple[Launch, ...]

    @property
    def NAME(self) -> str:
        """As of the order."""
        return NAME

    def why_not(self, problem: Problem) -> str | None:
        """As of the order."""
        return why_not(problem)

    def cost(self, problem: Problem, backward: bool) -> Cost:
        """As of the order."""
        return cost(problem, backward, self.launches if _is_searched(problem.h, problem.k, problem.u) else LAUNCHES)

    def forward(self, query: Tensor, value: Tensor, table: Tensor) -> Tensor:
        """As of the order."""
        return forward(query, value, table, self._rows(query, value))

    def backward(self, grad: Tensor, query: Tensor, value: Tensor, table: Tensor, needs: Needs) -> Gradients:
        """As of the order."""
        return backward(grad, query, value, table, needs, self._rows(query, value))

    def _rows(self, query: Tensor, value: Tensor) -> tuple[Launch, ...]:
        from lambdanets.ops.impl.triton.run import capability_of

        is_here = capability_of(query) == self.launches[0].architecture
        return self.launches if is_here and _is_searched(query.shape[1], query.shape[2], value.shape[2]) else LAUNCHES


def _is_searched(h: int, k: int, u: int) -> bool:
    return h <= SEARCHED_HEADS and power_of_two(k) == SEARCHED_KEYS and u == 1


def _on_device(tensor: Tensor) -> AbstractContextManager[object]:
    """A block in which kernels go to the tensor's GPU."""
    return torch.cuda.device(tensor.device) if tensor.device.type == "cuda" else nullcontext()
