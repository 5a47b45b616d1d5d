"""The contraction orders, and which one "auto" takes: a pure function of the problem.

A new order is one module in `impl/`, one entry of `ORDERS` and one page of documentation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from lambdanets.ops.cost import Cost
from lambdanets.ops.impl import convolution, dense, fourier, fourier_rows, reference, rows, scores
from lambdanets.ops.problem import Problem

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


@runtime_checkable
class Described(Protocol):
    """What every module of `impl/` says of itself."""

    @property
    def NAME(self) -> str:
        """The value of `impl=`."""
        ...

    @property
    def why_not(self) -> Callable[[Problem], str | None]:
        """None if able for a problem, else a sentence that says why not."""
        ...

    @property
    def cost(self) -> Callable[[Problem, bool], Cost]:
        """The price for a problem; of the backward pass if True."""
        ...


@runtime_checkable
class Order(Described, Protocol):
    """An order of contraction of the position part y = Σ_{m,k,u} q R V, and of its gradients."""

    @property
    def forward(self) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """(query, value, table) → output (b, h, v, *N)."""
        ...

    @property
    def backward(self) -> Callable[[Tensor, Tensor, Tensor, Tensor, tuple[bool, bool, bool]], Gradients]:
        """(grad, query, value, table, which are needed) → their gradients."""
        ...


ORDERS: tuple[Order, ...] = (dense, convolution, rows, scores, fourier_rows, fourier)
"""Every order that a problem without an explicit pair mask may take."""

IMPLS: tuple[str, ...] = ("auto", reference.NAME, *(order.NAME for order in ORDERS))
"""The values of `impl=`."""


def why_not(order: Described, problem: Problem) -> str | None:
    """None if the order is able for the problem, else a sentence that says why it is not."""
    if takes_reference(problem):
        return f"only {reference.NAME} takes {_special(problem)}"
    if problem.scope is None:
        return "there is no table, so there is no position part to contract"
    return order.why_not(problem)


def choose(problem: Problem, backward: bool = False) -> Order:
    """The able order with the lowest predicted time for this pass; forward and backward may differ."""
    able = [order for order in ORDERS if why_not(order, problem) is None]
    return min(able, key=lambda order: order.cost(problem, backward).seconds)


def find(impl: str, problem: Problem, backward: bool = False) -> Order:
    """The order that runs: the named one, never another in its place, or the choice of "auto".

    Raises:
        ValueError: the named order is not able for the problem.
    """
    if impl == "auto":
        return choose(problem, backward)
    order = next(order for order in ORDERS if impl == order.NAME)
    reason = why_not(order, problem)
    if reason is not None:
        able = ", ".join(["auto", reference.NAME, *(o.NAME for o in ORDERS if why_not(o, problem) is None)])
        raise ValueError(f"impl={impl!r} cannot compute this problem: {reason}; use one of {able}")
    return order


def takes_reference(problem: Problem) -> bool:
    """Whether "auto" hands the whole problem to the reference, because only that is able."""
    return bool(_special(problem))


def _special(problem: Problem) -> str:
    """What of the problem only the reference can do; empty for none."""
    if problem.pair_mask == "explicit":
        return "an explicit pair mask"
    if problem.pair_mask == "causal" and problem.content and problem.normalize_keys != "softmax":
        return f"a causal mask with {problem.normalize_keys} keys"
    return ""


@dataclass(frozen=True)
class Explanation:
    """Every order for one problem: able or why not, what it costs, and which one "auto" takes. Printable."""

    problem: Problem
    chosen: str
    """The order of the forward pass."""
    chosen_backward: str
    """The order of the backward pass."""

    def __str__(self) -> str:
        """A table in plain text."""
        p = self.problem
        sizes = " ".join(f"{letter}={getattr(p, letter)}" for letter in "bnmhkuv")
        window = "none" if p.scope is None else "×".join(map(str, p.scope))
        map_size = "×".join(map(str, p.query_size))
        lines = [
            f"map {map_size}, window {window}, {sizes}, {str(p.dtype).removeprefix('torch.')} on {p.device}",
            f"content part: {'b·m·k·u·v + b·n·h·k·v multiply-adds, shared by every order' if p.content else 'none'}",
            f"{'order':<12} {'auto':<10} {'forward':>9} {'backward':>9} {'extra':>9}  able?",
            f"{'':<12} {'':<10} {'GMAC':>9} {'GMAC':>9} {'MiB':>9}",
        ]
        described: tuple[Described, ...] = (reference, *ORDERS)
        return "\n".join(lines + [self._row(order) for order in described])

    def _row(self, order: Described) -> str:
        reason = self._why_not(order)
        marks = [mark for mark, name in (("fwd", self.chosen), ("bwd", self.chosen_backward)) if name == order.NAME]
        if reason is not None:
            return f"{order.NAME:<12} {'':<10} {'–':>9} {'–':>9} {'–':>9}  no: {reason}"
        if self.problem.scope is None and order is not reference:
            return f"{order.NAME:<12}"
        ahead, back = order.cost(self.problem, False), order.cost(self.problem, True)
        extra = max(ahead.extra_bytes, back.extra_bytes) / 2**20
        return (
            f"{order.NAME:<12} {'+'.join(marks):<10} {ahead.multiply_adds / 1e9:>9.3f} "
            f"{back.multiply_adds / 1e9:>9.3f} {extra:>9.1f}  yes"
        )

    def _why_not(self, order: Described) -> str | None:
        return None if order is reference else why_not(order, self.problem)


def explain_problem(problem: Problem) -> Explanation:
    """The explanation of one problem: what `choose` and `takes_reference` say, nothing else."""
    if problem.scope is None or takes_reference(problem):
        name = "content" if problem.scope is None and not takes_reference(problem) else reference.NAME
        return Explanation(problem, name, name)
    return Explanation(problem, choose(problem).NAME, choose(problem, backward=True).NAME)
