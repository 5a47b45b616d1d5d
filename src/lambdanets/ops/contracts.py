"""The registered operator: the position part, opaque to compilers, choosing its order from real sizes at run time.

`lambdanets::position` is one node of a compiled or exported graph, whatever the sizes. It saves its inputs only;
its backward recomputes. As it is linear in each of its three inputs, its second derivative is made of itself.
Gradients come back in the memory layout of their inputs (`layout.Aligned` says why).
"""

from typing import Any

import torch
from torch import Tensor

from lambdanets.ops.choice import remembered
from lambdanets.ops.layout import as_maps, by_position, in_layout, is_channels_last
from lambdanets.ops.precision import own_precision
from lambdanets.ops.problem import Problem


@torch.library.custom_op("lambdanets::position", mutates_args=())
def position(query: Tensor, value: Tensor, table: Tensor, impl: str) -> Tensor:
    """Σ_{m,k,u} q[b,h,k,n] R[k,u,m−n] V[b,v,u,m] as rows (b, n·h, v), in the dtype of query."""
    order = remembered(impl, Problem.of(query, None, value, table))
    q, v, r = _computable(query, value, table)
    with own_precision(query.device.type):
        output = order.forward(q, v, r).to(query.dtype)
    return by_position(output).contiguous().data  # a view of nothing, so that the content part may be added in place


@position.register_fake
def _(query: Tensor, value: Tensor, table: Tensor, impl: str) -> Tensor:
    return query.new_empty(query.shape[0], query[0, :, 0].numel(), value.shape[1])


@torch.library.custom_op("lambdanets::position_backward", mutates_args=())
def position_backward(
    grad: Tensor, query: Tensor, value: Tensor, table: Tensor, impl: str, needs: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, value and table, each like its input, from that of the rows; empty if not needed."""
    order = remembered(impl, Problem.of(query, None, value, table), backward=True)
    q, v, r = _computable(query, value, table)
    with own_precision(query.device.type):
        gradients = order.backward(as_maps(grad.to(q.dtype), q), q, v, r, (needs[0], needs[1], needs[2]))
    return (
        _like(query, gradients[0], True),
        _like(value, gradients[1], True),
        _like(table, gradients[2], False),
    )


@position_backward.register_fake
def _(
    grad: Tensor, query: Tensor, value: Tensor, table: Tensor, impl: str, needs: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        in_layout(torch.empty_like(query), is_channels_last(query)) if needs[0] else query.new_empty(0),
        in_layout(torch.empty_like(value), is_channels_last(value)) if needs[1] else value.new_empty(0),
        torch.empty_like(table, memory_format=torch.contiguous_format) if needs[2] else table.new_empty(0),
    )


def _computable(query: Tensor, value: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The inputs in the dtype to compute in: the query's; fp32 for fp16 on CPU, which has no fast fp16."""
    dtype = torch.float32 if query.dtype == torch.float16 and query.device.type == "cpu" else query.dtype
    return query.to(dtype), value.to(dtype), table.to(dtype)


def _like(tensor: Tensor, gradient: Tensor | None, has_layout: bool) -> Tensor:
    """The gradient in its input's dtype and layout; an empty tensor for None."""
    if gradient is None:
        return tensor.new_empty(0)
    return in_layout(gradient.to(tensor.dtype), has_layout and is_channels_last(tensor))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.impl = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs = list(ctx.needs_input_grad[:3])
    gradients = position_backward(grad, *ctx.saved_tensors, ctx.impl, needs)
    return (*_wanted(gradients, needs), None)


position.register_autograd(_backward, setup_context=_save)


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.impl, ctx.needs = inputs
    ctx.save_for_backward(*tensors)


def _double_backward(ctx: Any, to_query: Tensor, to_value: Tensor, to_table: Tensor) -> tuple[Tensor | None, ...]:
    """The derivative of the three gradients: y is trilinear, so it is again made of y and of its gradients."""
    grad, query, value, table = ctx.saved_tensors
    impl = ctx.impl
    totals: list[Tensor | None] = [None, None, None, None]

    def add(slot: int, term: Tensor) -> None:
        """One more term of the derivative by input `slot`."""
        known = totals[slot]
        totals[slot] = term if known is None else known + term

    replaced = ((query, to_query), (value, to_value), (table, to_table))
    for index, (needed, (_, towards)) in enumerate(zip(ctx.needs, replaced, strict=True)):
        if not needed:
            continue
        inputs = [towards if i == index else original for i, (original, _) in enumerate(replaced)]
        add(0, position(inputs[0], inputs[1], inputs[2], impl))
        others = [i != index for i in range(3)]
        for i, term in enumerate(position_backward(grad, inputs[0], inputs[1], inputs[2], impl, others)):
            if others[i]:
                add(i + 1, term)
    return (*totals, None, None)


position_backward.register_autograd(_double_backward, setup_context=_save_backward)


def _wanted(gradients: tuple[Tensor, ...], needs: list[bool]) -> tuple[Tensor | None, ...]:
    return tuple(gradient if need else None for gradient, need in zip(gradients, needs, strict=True))
