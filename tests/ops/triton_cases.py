"""The Triton order's cases, computed by Triton's interpreter on the CPU; run in a process of its own.

    TRITON_INTERPRET=1 python triton_cases.py NAME …

prints one line of JSON a case: how far every result is from float64, and how far it may be. Triton decides when it is
imported whether it interprets, so a process that compiles cannot.
"""

import functools
import json
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

import lambdanets.testing
from lambdanets.ops import Problem, apply_lambdas, choice
from lambdanets.ops.impl import reference
from lambdanets.ops.impl import triton as order
from lambdanets.ops.impl.triton.launches import LAUNCHES
from lambdanets.ops.launch import Launch, Pass
from lambdanets.testing import make_inputs, output_and_gradients, relative_error, rounding

FP32, BF16, FP16 = torch.float32, torch.bfloat16, torch.float16
NAMES = ("output", "d_query", "d_value", "d_table")


def small(what: Pass, itemsize: int) -> Launch:
    """Tiles so small that a small map has several of them, on every axis."""
    rows = 16 if what == "value" else 32
    return Launch(what=what, architecture=80, itemsize=itemsize, columns=16, rows=rows, step=16, warps=4, stages=1)


SMALL = tuple(small(what, itemsize) for what in ("output", "query", "value", "table") for itemsize in (2, 4))


@dataclass(frozen=True)
class Case:
    """A problem, its dtype, and the launch table it runs by."""

    problem: Problem
    dtype: torch.dtype = FP32
    launches: tuple[Launch, ...] = SMALL
    architecture: int = 80
    channels_last: bool = False


def problem(size: tuple[int, ...], scope: tuple[int, ...], **options: Any) -> Problem:
    """A problem without a content part, small unless said."""
    sizes = {"b": 2, "h": 3, "k": 4, "v": 5, "query_size": size, "context_size": size, "scope": scope}
    return Problem(**{**sizes, "content": False, **options})


QUICK = {
    "2d-odd": Case(problem((5, 9), (3, 7))),
    "2d-u": Case(problem((4, 5), (3, 5), u=3, v=20, h=2, b=1)),
    "2d-global": Case(problem((6, 5), (11, 9), h=2, b=1)),
    "2d-channels-last": Case(problem((5, 6), (5, 3), v=16, h=2), channels_last=True),
    "1d": Case(problem((37,), (9,), h=1)),
    "2d-bf16": Case(problem((5, 5), (3, 3), v=8, h=2), BF16),
    "1d-fp16": Case(problem((20,), (7,), k=8, v=8, h=2), FP16),
    "2d-layer": Case(problem((4, 6), (5, 3), content=True, u=2)),
    "2d-built-in-90-bf16": Case(problem((4, 7), (5, 5), h=2, k=16, v=64), BF16, LAUNCHES, 90),
}
"""In the normal suite."""

SLOW = {
    "2d-one-of-each": Case(problem((3, 3), (3, 3), b=1, h=1, k=1, v=1)),
    "2d-one-position": Case(problem((1, 1), (5, 5), b=1)),
    "2d-single-offset": Case(problem((4, 6), (1, 1))),
    "2d-one-row": Case(problem((1, 8), (3, 5))),
    "2d-table-larger-in-one-axis": Case(problem((3, 9), (9, 3), u=2)),
    "2d-table-larger-than-map": Case(problem((3, 4), (11, 9))),
    "2d-keys-not-a-power-of-two": Case(problem((5, 6), (5, 5), k=11)),
    "2d-many-heads": Case(problem((4, 5), (3, 3), h=16, v=3, k=2)),
    "2d-many-keys": Case(problem((4, 5), (3, 3), k=64, v=3)),
    "2d-many-depths": Case(problem((4, 5), (3, 3), u=16, v=3)),
    "2d-many-channels": Case(problem((4, 5), (3, 3), v=70, b=1)),
    "2d-many-images": Case(problem((3, 4), (3, 3), v=2, b=37)),
    "1d-global": Case(problem((33,), (65,), u=2)),
    "1d-wide-table": Case(problem((5,), (15,), u=4)),
    "1d-one-position": Case(problem((1,), (3,))),
    "2d-window-23": Case(problem((17, 14), (23, 23), b=1, k=16, v=8)),
    **{
        f"{len(size)}d-{name}-{layout}{'-u' if u > 1 else ''}": Case(
            problem(size, scope, k=16, v=8, h=4, u=u), dtype, channels_last=layout == "last"
        )
        for size, scope in (((13, 11), (7, 7)), ((40,), (7,)))
        for name, dtype in (("fp32", FP32), ("bf16", BF16), ("fp16", FP16))
        for layout in ("contiguous", "last")
        for u in (1, 2)
    },
    **{
        f"2d-built-in-{architecture}-{name}-{v}": Case(
            problem((9, 8), (7, 7), b=b, h=4, k=16, v=v), dtype, LAUNCHES, architecture
        )
        for architecture in (80, 90)
        for name, dtype in (("fp32", FP32), ("bf16", BF16))
        for b, v in ((1, 16), (2, 64), (8, 128))
    },
}
"""Beside it."""


def contraction(query: Tensor, value: Tensor, table: Tensor) -> Tensor:
    """The reference's position output."""
    visible = torch.ones(1, 1, value.shape[3:].numel(), dtype=torch.bool)
    return reference.apply(query, None, value, table, visible)


def truth(tensors: list[Tensor], cotangent: Tensor) -> list[Tensor]:
    """The reference's output and gradients in the dtype of the tensors."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    output = contraction(leaves[0], leaves[1], leaves[2])
    return [output.detach(), *torch.autograd.grad(output, leaves, cotangent.to(output.dtype))]


def among_nans(tensor: Tensor, channels_last: bool) -> Tensor:
    """The same numbers between NaNs, so that reading beyond either end is found out."""
    moved = tensor.movedim((1, 2), (-2, -1)) if channels_last else tensor
    room = moved.new_full((moved.numel() + 2048,), torch.nan)
    inside = room[1024:-1024].view(moved.shape)
    inside.copy_(moved)
    return inside.movedim((-2, -1), (1, 2)) if channels_last else inside


def computed(case: Case, tensors: list[Tensor], cotangent: Tensor) -> list[Tensor]:
    """What the kernels make of it, each pass by itself."""
    as_on_a_gpu(case)
    query, value = (among_nans(tensor, case.channels_last) for tensor in tensors[:2])
    table, grad = among_nans(tensors[2], False), among_nans(cotangent.to(query.dtype), True)
    results: list[Tensor] = [order.forward(query, value, table, case.launches)]
    for needed in range(3):
        needs = (needed == 0, needed == 1, needed == 2)
        gradients = order.backward(grad, query, value, table, needs, case.launches)
        assert [gradient is not None for gradient in gradients] == list(needs)
        results += [gradient for gradient in gradients if gradient is not None]
    return results


def errors(case: Case) -> dict[str, tuple[float, float]]:
    """Of every result: its rms error to float64, and twice (the reference's in that dtype + one rounding)."""
    inputs = make_inputs(case.problem, dtype=case.dtype)
    assert inputs.table is not None
    tensors = [inputs.query.detach(), inputs.value.detach(), inputs.table.detach()]
    generator = torch.Generator().manual_seed(1)
    cotangent = torch.randn(contraction(*tensors).shape, generator=generator).to(case.dtype)
    exact = truth([tensor.double() for tensor in tensors], cotangent)
    same = truth(tensors, cotangent)
    got = computed(case, tensors, cotangent)
    return {
        name: (
            relative_error(mine, true) if mine.shape == true.shape else torch.inf,
            2 * (relative_error(theirs, true) + rounding(case.dtype)),
        )
        for name, mine, theirs, true in zip(NAMES, got, same, exact, strict=True)
    }


def errors_of_a_layer(case: Case) -> dict[str, tuple[float, float]]:
    """The same of `apply_lambdas(impl="triton")`, content part and mask included, as if the order took CPU tensors.

    Once as it is and once compiled to a single graph, through PyTorch's tracing of forward and backward.
    """
    order.why_not = lambda problem: None
    as_on_a_gpu(case)
    choice.ORDERS = (SimpleNamespace(**{**vars(order), **by(case.launches)}),)
    inputs = make_inputs(case.problem, context_mask=True, dtype=case.dtype)
    exact = output_and_gradients(inputs.to(torch.float64), "reference")
    same, got = output_and_gradients(inputs, "reference"), output_and_gradients(inputs, order.NAME)
    lambdanets.testing.apply_lambdas = torch.compile(apply_lambdas, fullgraph=True, backend="aot_eager")
    compiled = output_and_gradients(inputs, order.NAME)
    return {
        f"{way}{name}": (
            relative_error(mine[name], true),
            2 * (relative_error(same[name], true) + rounding(case.dtype)),
        )
        for way, mine in (("", got), ("compiled ", compiled))
        for name, true in exact.items()
    }


def as_on_a_gpu(case: Case) -> None:
    """Let the order take the CPU for a GPU of the case's architecture."""
    import lambdanets.ops.impl.triton.run as run

    run.capability_of = lambda tensor: case.architecture


def by(launches: tuple[Launch, ...]) -> dict[str, Any]:
    """Both passes of the order by these rows."""
    return {name: functools.partial(getattr(order, name), launches=launches) for name in ("forward", "backward")}


def multiply_bf16_as_numbers() -> None:
    """Mend the interpreter of Triton 3.9: it keeps bf16 as 16-bit integers, and its product multiplies these."""
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder

    multiplied = InterpreterBuilder.create_dot

    def create_dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        """The product, bf16 factors widened to fp32 first: as a tensor core does."""
        wide = [self.create_fp_ext(factor, tl.float32) if factor.dtype == tl.bfloat16 else factor for factor in (a, b)]
        return multiplied(self, *wide, *rest)

    InterpreterBuilder.create_dot = create_dot


def main(names: list[str]) -> None:
    """Print the errors of the named cases."""
    multiply_bf16_as_numbers()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    for name in names:
        start, case = time.process_time(), {**QUICK, **SLOW}[name]
        found = errors_of_a_layer(case) if case.problem.content else errors(case)
        print(json.dumps({"name": name, "errors": found, "seconds": time.process_time() - start}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
