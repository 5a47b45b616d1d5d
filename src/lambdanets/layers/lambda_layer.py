"""The lambda layer (Bello 2021, section 3): a drop-in for a 3 × 3 convolution or for self-attention over a map.

Letters: b batch, d channels, n query positions (a map of sides N), m context positions (sides M), h heads, k key
depth, v value depth (= d / h), u intra-depth.
"""

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor, nn

from lambdanets.layers.masked_norm import masked_batch_norm
from lambdanets.layers.position_table import PositionTable
from lambdanets.layers.projection import Affine, Projection, project, with_norm
from lambdanets.ops import apply_lambdas
from lambdanets.ops.choice import check_names
from lambdanets.ops.layout import in_layout, is_channels_last
from lambdanets.ops.problem import NormalizeKeys, check_equal_maps, check_masks

_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOLS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


class LambdaLayer(nn.Module):
    """Maps x (b, dim, *N) to (b, dim_out, *N / stride): long-range interactions without attention maps.

    Args:
        dim: channels of the input.
        dim_out: channels of the output, divisible by num_heads; None: dim.
        dim_context: channels of the context; None: dim.
        dim_key: k, query and key depth.
        num_heads: h, queries a position; they share one lambda, so more heads cost less.
        dim_intra: u, intra-depth.
        scope: what a position sees around itself: an odd side, or one odd side an axis; None: content only.
            `global_scope(size)` gives the scope that sees a whole map of that size.
        content: False: position part only.
        normalize_keys: "softmax", or the paper's ablation "l2" or "none".
        stride: above 1, a 3-wide average pool of this stride follows the layer.
        table: a `PositionTable` to share with other layers; it then decides the scope. None: the layer's own.
        num_axes: map axes, 1 to 3.
        impl: order of contraction, see `lambdanets.apply_lambdas`.

    Raises:
        ValueError: an option out of range; the message says what to use.

    Initialisation is the paper's: W_K, W_V of standard deviation d^-½, W_Q of (k·d)^-½, the table N(0, 1).
    """

    def __init__(  # the paper's letters are the options; composition would only rename them
        self,
        dim: int,
        dim_out: int | None = None,
        *,
        dim_context: int | None = None,
        dim_key: int = 16,
        num_heads: int = 4,
        dim_intra: int = 1,
        scope: int | Sequence[int] | None = 23,
        content: bool = True,
        normalize_keys: NormalizeKeys = "softmax",
        stride: int = 1,
        table: PositionTable | None = None,
        num_axes: int = 2,
        impl: str = "auto",
    ):
        super().__init__()
        dim_out, dim_context = dim if dim_out is None else dim_out, dim if dim_context is None else dim_context
        _check_numbers(
            dim=dim, dim_out=dim_out, dim_context=dim_context, dim_key=dim_key, num_heads=num_heads,
            dim_intra=dim_intra, stride=stride,
        )  # fmt: skip
        _check_options(dim_out, num_heads, num_axes, scope is not None or table is not None, content)
        check_names(normalize_keys, impl)
        self.dim_key, self.num_heads, self.dim_intra = dim_key, num_heads, dim_intra
        self.dim_value, self.num_axes = dim_out // num_heads, num_axes
        self.normalize_keys: NormalizeKeys = normalize_keys
        self.impl = impl
        self.to_query = Projection(dim, num_heads * dim_key)
        self.to_key = Projection(dim_context, dim_key * dim_intra) if content else None
        self.to_value = Projection(dim_context, self.dim_value * dim_intra)
        self.norm_query = _NORMS[num_axes](num_heads * dim_key)
        self.norm_value = _NORMS[num_axes](self.dim_value * dim_intra)
        if table is not None:
            _check_shared(table, dim_key, dim_intra, num_axes)
        elif scope is not None:
            table = PositionTable(dim_key, dim_intra, scope, num_axes)
        self.positions = table
        self.pool = _POOLS[num_axes](3, stride, padding=1) if stride > 1 else nn.Identity()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the projections anew, as the paper does; the table is its own module's affair."""
        nn.init.normal_(self.to_query.weight, std=(self.dim_key * self.to_query.dim) ** -0.5)
        for projection in (self.to_key, self.to_value):
            if projection is not None:
                projection.reset_parameters()

    def forward(
        self,
        x: Float[Tensor, "b d *N"],
        context: Float[Tensor, "b c *M"] | None = None,
        context_mask: Bool[Tensor, "b *M"] | None = None,
        pair_mask: Tensor | str | None = None,
    ) -> Tensor:
        """The layer's output, (b, dim_out, *N), its sides divided by the stride; channels_last is kept.

        Args:
            x: (b, dim, *N).
            context: (b, dim_context, *M); None: x itself. With a position table M must equal N.
            context_mask: (b, *M), True = visible: padding contributes nothing, to the norms' statistics neither,
                nor to the pool where the context is x itself.
            pair_mask: "causal" or bool (n, m) or (b, n, m), see `lambdanets.apply_lambdas`.
        """
        self._check_input(x, context, context_mask, pair_mask)
        query, value, key = self.project(x, context, context_mask)
        output = apply_lambdas(
            _apart(query, self.num_heads, self.dim_key),
            None if key is None else _apart(key, self.dim_key, self.dim_intra),
            _apart(value, self.dim_value, self.dim_intra),
            None if self.positions is None else self.positions(),
            context_mask=context_mask,
            pair_mask=pair_mask,
            normalize_keys=self.normalize_keys,
            impl=self.impl,
        )
        if context_mask is not None and context is None and not isinstance(self.pool, nn.Identity):
            output = output.masked_fill(~context_mask[:, None, None], 0)  # for the pool, what it pads with itself
        # Heads and values become channels behind the map axes: a plain flatten(1, 2) of a channels_last output at
        # batch 1 has a first stride that makes the pools forget the layout.
        if not is_channels_last(x[:, None]):
            return self.pool(in_layout(output, channels_last=False).flatten(1, 2))
        return self.pool(output.movedim((1, 2), (-2, -1)).flatten(-2).movedim(-1, 1))

    def project(
        self, x: Tensor, context: Tensor | None, context_mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Query (b, h·k, *N) and value (b, v·u, *M) behind their norms, and the raw key (b, k·u, *M) or None.

        In eval mode the norms are part of the projection. The arguments are those of `forward`.
        """
        query_map = with_norm(self.to_query, self.norm_query) if context_mask is None else None
        value_map = with_norm(self.to_value, self.norm_value) if context_mask is None else None
        of_context = [value_map or Affine(self.to_value.weight)]
        of_context += [] if self.to_key is None else [Affine(self.to_key.weight)]
        of_query = query_map or Affine(self.to_query.weight)
        if context is None:
            query, value, *key = project(x, of_query, *of_context)
        else:
            (query,), (value, *key) = project(x, of_query), project(context, *of_context)
        if query_map is None:
            query = masked_batch_norm(self.norm_query, query, context_mask if context is None else None)
        if value_map is None:
            value = masked_batch_norm(self.norm_value, value, context_mask)
        return query, value, key[0] if key else None

    def _check_input(
        self, x: Tensor, context: Tensor | None, context_mask: Tensor | None, pair_mask: Tensor | str | None
    ) -> None:
        """ValueError for what cannot be computed, before the norms have taken note of it."""
        if context is None and self.to_value.dim != self.to_query.dim:
            raise ValueError(
                f"got no context, but the layer was built with dim_context={self.to_value.dim} beside "
                f"dim={self.to_query.dim}; pass the context"
            )
        context = x if context is None else context
        self._check_map("x", x, self.to_query.dim)
        self._check_map("context", context, self.to_value.dim)
        if context.shape[0] != x.shape[0]:
            raise ValueError(f"got batches {x.shape[0]} (x) and {context.shape[0]} (context); they must be equal")
        if self.positions is not None:
            check_equal_maps(x.shape[2:], context.shape[2:])
        check_masks(x[:, None], context[:, None], context_mask, pair_mask)

    def _check_map(self, name: str, tensor: Tensor, dim: int) -> None:
        axes = self.num_axes
        if tensor.ndim != axes + 2 or tensor.shape[1] != dim:
            raise ValueError(
                f"got {name} of shape {tuple(tensor.shape)}; want (batch, {dim}, …) with {axes} map axes: reshape it, "
                "or build the layer with that dim and num_axes"
            )
        if 0 in tensor.shape:
            raise ValueError(f"got an empty {name} of shape {tuple(tensor.shape)}; every axis must hold an entry")


def _apart(maps: Tensor, *channels: int) -> Tensor:
    """(b, c1·c2, *N) as (b, c1, c2, *N), apart behind the map axes.

    The gradient of a plain unflatten(1, …) at batch 1 has a first stride that makes BatchNorm take its slow path.
    """
    return maps.movedim(1, -1).unflatten(-1, channels).movedim((-2, -1), (1, 2))


def _check_numbers(**numbers: int) -> None:
    for name, number in numbers.items():
        if type(number) is not int or number < 1:
            raise ValueError(f"got {name}={number!r}; want a whole number, 1 or more")


def _check_options(dim_out: int, num_heads: int, num_axes: int, has_table: bool, content: bool) -> None:
    if num_axes not in _NORMS:
        raise ValueError(f"got num_axes={num_axes!r}; want the number 1, 2 or 3")
    if dim_out % num_heads:
        fitting = [h for h in range(1, min(dim_out, 64) + 1) if dim_out % h == 0]
        nearest = min(fitting, key=lambda h: abs(h - num_heads))
        raise ValueError(
            f"got dim_out={dim_out} and num_heads={num_heads}; the heads must divide the output: "
            f"num_heads={nearest} does"
        )
    if not has_table and not content:
        raise ValueError("got scope=None and content=False, which leaves nothing to compute; give one of the two")


def _check_shared(table: PositionTable, dim_key: int, dim_intra: int, num_axes: int) -> None:
    got, axes = tuple(table.table.shape[:2]), len(table.scope)
    if got != (dim_key, dim_intra) or axes != num_axes:
        raise ValueError(
            f"got a shared table with (dim_key, dim_intra) = {got} over {axes} axes; this layer wants "
            f"({dim_key}, {dim_intra}) over {num_axes}: build the table with the layer's numbers"
        )
