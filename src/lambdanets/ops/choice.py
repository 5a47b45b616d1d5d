"""The contraction orders, and which one "auto" takes: a pure function of the problem.

A new order is one module in `impl/`, one entry of `ORDERS` and one page of documentation.
"""

import functools
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lambdanets.ops.cost import Cost
from lambdanets.ops.impl import convolution, dense, fourier, fourier_rows, reference, rows, scores, triton
from lambdanets.ops.problem import Problem
from lambdanets.ops.profile import BUILT_IN, Profile, load_profile

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


ORDERS: tuple[Order, ...] = (dense, convolution, rows, scores, fourier_rows, fourier, triton)
"""Every order that a problem without an explicit pair mask may take."""

IMPLS: tuple[str, ...] = ("auto", reference.NAME, *(order.NAME for order in ORDERS))
"""The values of `impl=`; beside them "auto:FILE", which chooses by the profile in a file."""


def orders_of(profile: Profile) -> tuple[Order, ...]:
    """`ORDERS`, the fused kernels by the profile's launches if it has any."""
    if not profile.launches:
        return ORDERS
    return tuple(triton.Launched(profile.launches) if order is triton else order for order in ORDERS)


def why_not(order: Described, problem: Problem) -> str | None:
    """None if the order is able for the problem, else a sentence that says why it is not."""
    if takes_reference(problem):
        return f"only {reference.NAME} takes {_special(problem)}"
    if problem.scope is None:
        return "there is no table, so there is no position part to contract"
    return order.why_not(problem)


def choose(problem: Problem, backward: bool = False, profile: Profile = BUILT_IN) -> Order:
    """The able order with the lowest predicted time for this pass; forward and backward may differ."""
    known = profile.on(problem.device)
    able = [order for order in orders_of(known) if why_not(order, problem) is None]
    return min(able, key=lambda order: known.seconds(order.NAME, order.cost(problem, backward), backward))


def profile_of(impl: str) -> Profile | None:
    """The profile that "auto" or "auto:FILE" chooses by; None where `impl` names an order.

    Raises:
        ValueError: neither of the three, or no profile in the file.
    """
    if impl == "auto":
        return BUILT_IN
    if impl.startswith("auto:"):
        if torch.compiler.is_compiling():  # a graph reads no files; the operator does, when it runs
            return BUILT_IN
        return load_profile(impl.removeprefix("auto:"))
    if impl not in IMPLS:
        raise ValueError(
            f"got impl={impl!r}; want one of {', '.join(IMPLS)}, or auto:FILE with a file of `lambdanets tune`"
        )
    return None


def check_names(normalize_keys: str, impl: str) -> None:
    """Raise ValueError unless both name something there is."""
    profile_of(impl)
    if normalize_keys not in ("softmax", "l2", "none"):
        raise ValueError(f"got normalize_keys={normalize_keys!r}; want 'softmax', 'l2' or 'none'")


def find(impl: str, problem: Problem, backward: bool = False) -> Order:
    """The order that runs: the named one, never another in its place, or the choice of "auto".

    Raises:
        ValueError: the named order is not able for the problem.
    """
    profile = profile_of(impl)
    if profile is not None:
        return choose(problem, backward, profile)
    order = next(order for order in ORDERS if impl == order.NAME)
    reason = why_not(order, problem)
    if reason is not None:
        able = ", ".join(["auto", reference.NAME, *(o.NAME for o in ORDERS if why_not(o, problem) is None)])
        raise ValueError(f"impl={impl!r} cannot compute this problem: {reason}; use one of {able}")
    return order


remembered = functools.lru_cache(maxsize=4096)(find)
"""`find`, but each problem is priced once: that takes as long as a small one itself. Not for code being compiled."""


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
