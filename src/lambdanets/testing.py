"""For tests of orders of contraction, ours and yours: inputs for a problem, and how far a result may be from truth."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lambdanets.ops import apply_lambdas
from lambdanets.ops.problem import Problem

Tensors = tuple[Tensor | None, ...]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The tensors of one `apply_lambdas` call."""

    query: Tensor
    key: Tensor | None
    value: Tensor
    table: Tensor | None
    context_mask: Tensor | None = None
    pair_mask: Tensor | str | None = None

    def apply(self, impl: str = "auto") -> Tensor:
        """The output, (b, h, v, *N)."""
        return apply_lambdas(
            self.query, self.key, self.value, self.table,
            context_mask=self.context_mask, pair_mask=self.pair_mask, impl=impl,
        )  # fmt: skip

    def to(self, dtype: torch.dtype) -> "Inputs":
        """The same numbers in another dtype, as fresh leaves."""
        tensors = [t if t is None else t.detach().to(dtype).requires_grad_() for t in self.differentiable]
        query, key, value, table = tensors
        assert query is not None
        assert value is not None
        return Inputs(
            query=query, key=key, value=value, table=table,
            context_mask=self.context_mask, pair_mask=self.pair_mask,
        )  # fmt: skip

    @property
    def differentiable(self) -> Tensors:
        """Query, key, value and table."""
        return self.query, self.key, self.value, self.table


def make_inputs(
    problem: Problem, *, seed: int = 0, context_mask: bool = False, dtype: torch.dtype = torch.float64
) -> Inputs:
    """Normal random tensors for the problem, requiring gradients; the mask shows about two thirds of the context."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        """Normal random numbers."""
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    p = problem
    visible = torch.rand(p.b, *p.context_size, generator=generator) < 0.67 if context_mask else None
    pairs: Tensor | str | None = "causal" if p.pair_mask == "causal" else None
    if p.pair_mask == "explicit":
        pairs = torch.rand(p.b, p.n, p.m, generator=generator) < 0.67
    return Inputs(
        query=draw(p.b, p.h, p.k, *p.query_size),
        key=draw(p.b, p.k, p.u, *p.context_size) if p.content else None,
        value=draw(p.b, p.v, p.u, *p.context_size),
        table=None if p.scope is None else draw(p.k, p.u, *p.scope),
        context_mask=visible,
        pair_mask=pairs,
    )


def output_and_gradients(inputs: Inputs, impl: str, cotangent: Tensor | None = None) -> dict[str, Tensor]:
    """The output and the gradient of every differentiable input, by name."""
    output = inputs.apply(impl)
    if cotangent is None:
        generator = torch.Generator().manual_seed(1)
        cotangent = torch.randn(output.shape, generator=generator, dtype=torch.float64)
    names = ("query", "key", "value", "table")
    named = {name: t for name, t in zip(names, inputs.differentiable, strict=True) if t is not None}
    gradients = torch.autograd.grad(output, list(named.values()), cotangent.to(output.dtype))
    return {"output": output.detach(), **{f"d_{name}": g for name, g in zip(named, gradients, strict=True)}}


def relative_error(got: Tensor, truth: Tensor) -> float:
    """Root mean square of the difference over that of the truth; 0 where both vanish, inf for NaN."""
    difference = (got.double() - truth.double()).square().mean().sqrt().item()
    scale = truth.double().square().mean().sqrt().item()
    if difference != difference:
        return float("inf")
    return difference / scale if scale else (0.0 if difference == 0 else float("inf"))


def rounding(dtype: torch.dtype) -> float:
    """The root mean square relative error of one rounding to the dtype: eps / √12."""
    return torch.finfo(dtype).eps / 12**0.5


def assert_as_exact_as_reference(
    inputs: Inputs, impl: str, *, factor: float = 2.0, check: Callable[[str], bool] = lambda _: True
) -> None:
    """The order's rms error to fp64 is at most `factor` × (the reference's in the same dtype + one rounding).

    The factor is 2, or 6 where a library's own kernel sums in another order; say why beside such a test.

    Raises:
        AssertionError: which result is how far off.
    """
    truth = output_and_gradients(inputs.to(torch.float64), "reference")
    reference = output_and_gradients(inputs, "reference")
    got = output_and_gradients(inputs, impl)
    dtype = inputs.query.dtype
    for name in filter(check, truth):
        allowed = factor * (relative_error(reference[name], truth[name]) + rounding(dtype))
        error = relative_error(got[name], truth[name])
        assert error <= allowed, f"{impl} {name} {dtype}: rms error {error:.2e}, allowed {allowed:.2e}"
