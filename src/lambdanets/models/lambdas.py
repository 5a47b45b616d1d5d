"""Lambda layers as the mixers of a network: their options, their defaults, and the tables that they share."""

from dataclasses import dataclass
from typing import Literal

from lambdanets.layers import LambdaLayer, PositionTable
from lambdanets.models.build import build_network
from lambdanets.models.network import ResNet
from lambdanets.models.spec import NetworkOptions, NetworkSpec, check_flag, check_number
from lambdanets.ops.choice import check_names
from lambdanets.ops.problem import check_scope

Scope = int | tuple[int, int] | Literal["default"] | None

MAX_NUMBER = 4096
"""Largest depth, intra-depth and number of heads; the paper's largest is 128."""
MAX_SCOPE = 4095
"""Largest scope: global on maps of 2048 a side, which are images of 8192 pixels."""


@dataclass(frozen=True, kw_only=True)
class LambdaOptions(NetworkOptions):
    """What the names with lambda layers take beside `num_classes` and `in_chans`.

    Raises ValueError for a number, rate, scope or name that no network can have, and for a value of another type.
    """

    dim_key: int = 16
    """k, the depth of queries and keys."""
    num_heads: int = 4
    """h; must divide the width of every stage that holds a lambda layer."""
    dim_intra: int = 1
    """u, the intra-depth."""
    scope: Scope = "default"
    """r, odd, or (rows, columns); None: content only; "default": 23, or 7 with dim_intra > 1 (5 in lambda_tiny)."""
    content: bool = True
    """False: the position lambdas alone."""
    normalize_keys: Literal["softmax", "l2", "none"] = "softmax"
    """How keys are normalised over the context (the paper's ablation)."""
    shared_tables: bool = False
    """True: lambda layers that see the same resolution with the same width share one position table."""
    impl: str = "auto"
    """The contraction order of every lambda layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("dim_key", "num_heads", "dim_intra"):
            check_number(field, getattr(self, field), 1, MAX_NUMBER)
        for field in ("content", "shared_tables"):
            check_flag(field, getattr(self, field))
        check_network_scope(self.scope)
        if self.scope is None and not self.content:
            raise ValueError(
                "scope is None and content is False, which leaves nothing to compute; give one of the two."
            )
        check_names(self.normalize_keys, str(self.impl))


def build_lambda_network(
    spec: NetworkSpec,
    options: LambdaOptions,
    *,
    num_classes: int,
    in_chans: int,
    scope: int = 23,
    scope_intra: int = 7,
) -> ResNet:
    """The network of `spec` with lambda layers for mixers, freshly drawn, in training mode.

    `scope` is the default with intra-depth 1, `scope_intra` with a larger one; see `LambdaLayers`.
    """
    mixers = LambdaLayers(options, scope=scope, scope_intra=scope_intra)
    return build_network(spec, options, num_classes=num_classes, in_chans=in_chans, mixers=mixers)


class LambdaLayers:
    """Makes the lambda layers of one network, and remembers the position tables that they share.

    Args:
        options: of the layers.
        scope: what "default" means with intra-depth 1.
        scope_intra: what it means with a larger one; 7 is the only one that fits the paper's count for u = 4.
    """

    def __init__(self, options: LambdaOptions, *, scope: int = 23, scope_intra: int = 7) -> None:
        self.options = options
        default = scope if options.dim_intra == 1 else scope_intra
        self.scope = default if options.scope == "default" else options.scope
        self.tables: dict[tuple[int, int], PositionTable] = {}

    def layer(self, width: int, *, reduction: int, stride: int) -> LambdaLayer:
        """A lambda layer of `width` channels on a map of 1 / `reduction` of the image, then pooled by `stride`."""
        options = self.options
        return LambdaLayer(
            width,
            dim_key=options.dim_key,
            num_heads=options.num_heads,
            dim_intra=options.dim_intra,
            scope=self.scope,
            content=options.content,
            normalize_keys=options.normalize_keys,
            stride=stride,
            table=self.shared_table(width, reduction),
            impl=options.impl,
        )

    def shared_table(self, width: int, reduction: int) -> PositionTable | None:
        """The one table of all layers of this width on maps of this size; None: the layer makes its own."""
        if not self.options.shared_tables or self.scope is None:
            return None
        if (width, reduction) not in self.tables:
            table = PositionTable(self.options.dim_key, self.options.dim_intra, self.scope, num_axes=2)
            self.tables[width, reduction] = table
        return self.tables[width, reduction]


def check_network_scope(scope: object) -> None:
    """Raise ValueError unless `scope` is "default", None, an odd number or two of them."""
    if scope is None or scope == "default":
        return
    if isinstance(scope, str):
        raise ValueError(
            f'scope is {scope!r}; give an odd number, (rows, columns), None for content only, or "default". '
            "For a scope that sees a whole map take global_scope(size of the map) of lambdanets.layers."
        )
    sides = check_scope(scope if isinstance(scope, list | tuple) else (scope, scope), 2)  # type: ignore[arg-type]
    if max(sides) > MAX_SCOPE:
        raise ValueError(f"scope is {scope!r}; its sides must not exceed {MAX_SCOPE}, which sees maps of 2048 a side.")
