"""The sizes of a lambda layer as the command line takes them, and the problem they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, Token

if TYPE_CHECKING:
    from lambdanets.ops import Problem

MAX_SIDE = 2**16
"""Positions along one axis of a map that can be asked about."""
MAX_NUMBER = 2**24
"""Positions of a whole map, and images, channels, …: far beyond what any machine computes, and answered at once."""


def whole_number(_: type, tokens: Sequence[Token]) -> int:
    """The number that was typed; ValueError for 1.5, which the command line's own reading would round."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"got '{text}', wanted a whole number.") from None


WholeNumber = Annotated[int, Parameter(converter=whole_number)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Question:
    """The sizes of one lambda layer at work."""

    map: str = "32x32"
    """Sides of the map, one to three of them: 64x64, 1024, 8x32x32."""
    scope: str = "23"
    """Odd sides of the position table: 23, 7x7, or none (content only)."""
    batch: WholeNumber = 1
    """Images."""
    dim: WholeNumber = 256
    """Output channels; the value depth v is dim / heads."""
    dim_key: WholeNumber = 16
    """Query and key depth k."""
    heads: WholeNumber = 4
    """Query heads h."""
    dim_intra: WholeNumber = 1
    """Intra-depth u."""
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    """Number format of the tensors."""
    content: Annotated[bool, Parameter(negative="--no-content")] = True
    """Whether the layer has a content part."""
    causal: Annotated[bool, Parameter(negative=())] = False
    """Whether a position sees only those before it (one map axis)."""


def problem_of(question: Question) -> "Problem":
    """The `Problem` that is asked about; ValueError for sizes that do not fit together."""
    q = question
    _check_numbers(q)
    sizes = _map_of(q)
    scope = None if q.scope == "none" else _sides(q.scope, "--scope", "23, 7x7 or none", 2 * MAX_SIDE - 1)
    if scope is None and not q.content:
        raise ValueError("--scope none --no-content leaves nothing to compute: drop one of them.")
    import torch  # after what can be refused in an instant

    from lambdanets.ops import Problem
    from lambdanets.ops.problem import check_scope

    if scope is not None:
        scope = check_scope(scope * len(sizes) if len(scope) == 1 else scope, len(sizes))
    return Problem(
        b=q.batch, h=q.heads, k=q.dim_key, v=q.dim // q.heads, u=q.dim_intra,
        query_size=sizes, context_size=sizes, scope=scope, content=q.content,
        pair_mask="causal" if q.causal else None, dtype=getattr(torch, q.dtype),
    )  # fmt: skip


def _check_numbers(q: Question) -> None:
    for name in ("batch", "dim", "dim_key", "heads", "dim_intra"):
        option, number = f"--{name.replace('_', '-')}", getattr(q, name)
        if number < 1:
            raise ValueError(f"{option}: got {number}, wanted 1 or more.")
        if number > MAX_NUMBER:
            raise ValueError(f"{option}: got {number}, more than {MAX_NUMBER:,}: ask about a smaller layer.")
    if q.dim % q.heads:
        raise ValueError(f"--dim {q.dim} is not divisible by --heads {q.heads}: change one of them.")


def _map_of(q: Question) -> tuple[int, ...]:
    sizes = _sides(q.map, "--map", "64x64", MAX_SIDE)
    if len(sizes) > 3:
        raise ValueError(f"--map: got {len(sizes)} sides '{q.map}', wanted one to three.")
    if prod(sizes) > MAX_NUMBER:
        raise ValueError(f"--map: got {q.map}, {prod(sizes):,} positions, more than {MAX_NUMBER:,}: ask about less.")
    if q.causal and len(sizes) != 1:
        raise ValueError(f"--causal: got the map {q.map}, wanted one side: on more, 'before' means nothing.")
    return sizes


def _sides(text: str, option: str, example: str, most: int) -> tuple[int, ...]:
    sides = text.split("x")
    if not all(side.isascii() and side.isdecimal() and side.strip("0") for side in sides):
        raise ValueError(f"{option}: got '{text}', wanted whole numbers above 0 joined by x, such as {example}.")
    digits = len(str(most))  # of longer ones Python itself would complain, or take its time
    if any(len(side.lstrip("0")) > digits or int(side) > most for side in sides):
        raise ValueError(f"{option}: got '{text}', wanted sides of at most {most:,}: ask about a smaller one.")
    return tuple(int(side) for side in sides)
