"""The public operation: validate, choose, call.

y_n = (λᶜ + λᵖ_n)ᵀ q_n      for each of the h queries of position n (Bello 2021, section 3)
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lambdanets.ops.causal import causal_content, causal_table
from lambdanets.ops.choice import check_names, find, profile_of, remembered, takes_reference
from lambdanets.ops.content import apply_content, content_lambda
from lambdanets.ops.contracts import position
from lambdanets.ops.explanation import Explanation, explain_problem
from lambdanets.ops.impl import reference
from lambdanets.ops.layout import Aligned, as_maps, by_position, in_layout, is_channels_last, recorded
from lambdanets.ops.precision import autocast_dtype, own_precision
from lambdanets.ops.problem import NormalizeKeys, Problem, check_masks, check_tensors


def apply_lambdas(
    query: Float[Tensor, "b h k *N"],
    key: Float[Tensor, "b k u *M"] | None,
    value: Float[Tensor, "b v u *M"],
    table: Float[Tensor, "k u *R"] | None,
    *,
    context_mask: Bool[Tensor, "b *M"] | None = None,
    pair_mask: Tensor | str | None = None,
    normalize_keys: NormalizeKeys = "softmax",
    impl: str = "auto",
) -> Float[Tensor, "b h v *N"]:
    """The output of a lambda layer, (b, h, v, *N), for maps of one to three axes; differentiable in every tensor.

    Args:
        query: (b, h, k, *N).
        key: raw keys (b, k, u, *M), normalised over M here, in fp32 or wider; None: no content part.
        value: (b, v, u, *M).
        table: relative positions (k, u, *R), odd sides, R[m − n] at entry m − n + (r − 1)/2; offsets outside it
            contribute nothing, entries that no pair reaches get zero gradient. None: no position part.
            With a table N must equal M. It may be wider in dtype than the query; its gradient then is, too.
        context_mask: (b, *M), True = visible (padding is False).
        pair_mask: "causal" (one map axis: m ≤ n), or (n, m) or (b, n, m) with the map axes flattened,
            True = visible. A query that sees nothing gets zeros.
        normalize_keys: "softmax", or the paper's ablation "l2" or "none".
        impl: the order of contraction; a named one never falls back, "auto" takes the one `explain` names, "auto:FILE"
            does so by the profile of a machine that `lambdanets tune` wrote.

    Under autocast every input but the table is cast to the autocast dtype.

    Raises:
        ValueError: shapes, dtypes, masks or names that do not fit together; the message says which and what to do.

    Source: Bello 2021, section 3; masks: its appendix.
    """
    query, key, value = _autocast(query, key, value)
    check_tensors(query, key, value, table)
    check_masks(query, value, context_mask, pair_mask)
    check_names(normalize_keys, impl)
    problem = Problem.of(query, key, value, table, pair_mask, normalize_keys)
    if impl == reference.NAME or (profile_of(impl) is not None and takes_reference(problem)):
        visible = _visible(value, context_mask, pair_mask)
        with own_precision(query.device.type):
            return reference.apply(query, key, value, table, visible, normalize_keys)
    ask = find if torch.compiler.is_compiling() else remembered
    if takes_reference(problem) or (table is not None and ask is remembered and query.device.type != "meta"):
        ask(impl, problem)  # a named order that is not able says so before anything is computed
    query, value = recorded(Aligned, query), recorded(Aligned, value)
    with own_precision(query.device.type):
        rows = None
        if table is not None:
            seen = value if context_mask is None else value.masked_fill(~context_mask[:, None, None], 0)
            rows = position(query, seen, table if pair_mask is None else causal_table(table), impl)
        if key is not None and pair_mask is not None:
            content = by_position(causal_content(query, key, value, context_mask))
            rows = content if rows is None else rows + content
        elif key is not None:
            lambdas = content_lambda(key, value, context_mask=context_mask, normalize_keys=normalize_keys)
            rows = apply_content(query, lambdas, onto=rows)
    assert rows is not None  # check_tensors wants a key or a table
    return in_layout(as_maps(rows, query), is_channels_last(query))


def explain(
    query: Tensor | Problem,
    key: Tensor | None = None,
    value: Tensor | None = None,
    table: Tensor | None = None,
    *,
    context_mask: Tensor | None = None,
    pair_mask: Tensor | str | None = None,
    normalize_keys: NormalizeKeys = "softmax",
    impl: str = "auto",
) -> Explanation:
    """A printable table of every order of contraction: able or why not, its cost, and which one "auto" takes.

    Args:
        query: a `Problem`, or the query of the call to explain, followed by the same tensors (meta tensors will do).
        key: as for `apply_lambdas`; likewise the rest.
        value: see key.
        table: see key.
        context_mask: see key.
        pair_mask: see key.
        normalize_keys: see key.
        impl: "auto", or "auto:FILE" to choose by the profile in a file.

    Raises:
        ValueError: as `apply_lambdas`.
    """
    if isinstance(query, Problem):
        return explain_problem(query, impl)
    if value is None:
        raise ValueError("got a query without a value; give a Problem, or the tensors of the call to explain")
    query, key, value = _autocast(query, key, value)
    check_tensors(query, key, value, table)
    check_masks(query, value, context_mask, pair_mask)
    check_names(normalize_keys, impl)
    return explain_problem(Problem.of(query, key, value, table, pair_mask, normalize_keys), impl)


def _autocast(query: Tensor, key: Tensor | None, value: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
    """The inputs as autocast wants them; keys stay as they are, for they are normalised in fp32 anyway."""
    dtype = autocast_dtype(query.device.type)
    if dtype is None or query.dtype == torch.float64:
        return query, key, value
    return query.to(dtype), key, value.to(dtype)


def _visible(value: Tensor, context_mask: Tensor | None, pair_mask: Tensor | str | None) -> Tensor:
    """Which context positions each query sees, (b or 1, n or 1, m)."""
    m = value.shape[3:].numel()
    visible = torch.ones(1, 1, m, dtype=torch.bool, device=value.device)
    if pair_mask == "causal":
        visible = visible.expand(1, m, m).tril()
    elif isinstance(pair_mask, Tensor):
        visible = pair_mask if pair_mask.ndim == 3 else pair_mask[None]
    return visible if context_mask is None else visible & context_mask.flatten(1)[:, None]
