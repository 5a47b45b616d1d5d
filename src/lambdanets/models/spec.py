"""What a network is, as frozen values: its stages, its family's design, and the options of `create_model`.

Specs are the paper's tables (sections 2 and 3 of the paper's facts); options are what a user may change.
Nothing here builds a module: see `build`.
"""

from dataclasses import dataclass
from typing import Literal

from lambdanets.ops.choice import check_names
from lambdanets.ops.problem import check_scope

Design = Literal["vanilla", "resnet-rs", "tiny"]
Scope = int | tuple[int, int] | Literal["default"] | None

GLOBAL_POOLS = ("avg", "max", "avgmax", "catavgmax", "")
STAGE_NAMES = ("c2", "c3", "c4", "c5")
MAX_NUMBER = 4096
"""Largest depth, intra-depth and number of heads; the paper's largest is 128."""
MAX_SCOPE = 4095
"""Largest scope: global on maps of 2048 a side, which are images of 8192 pixels."""
DROP_PATH_SHARES = (2 / 5, 3 / 5, 4 / 5, 5 / 5)  # stochastic depth grows by stage, c2 … c5 (ResNet-RS)


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One stage of bottlenecks; the first of c3, c4 and c5 halves the map."""

    blocks: int
    """Number of bottlenecks."""
    width: int
    """Channels of the spatial mixing inside a bottleneck; the stage's output has `expansion` times as many."""
    lambda_blocks: tuple[int, ...] = ()
    """1-based positions of the bottlenecks whose 3 × 3 convolution is a lambda layer."""
    squeeze_excite: bool = False
    """Whether every bottleneck weighs its output channels (ratio 0.25, after the last norm)."""


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A whole network: four stages c2 … c5 (strides 4, 8, 16, 32) on a stem."""

    stages: tuple[StageSpec, StageSpec, StageSpec, StageSpec]
    """c2, c3, c4, c5."""
    design: Design
    """Stem and shortcuts: see `blocks`."""
    image_size: int
    """Side in pixels of the square images the network is meant for."""
    in_chans: int = 3
    """Channels of those images."""
    num_classes: int = 1000
    """Classes that the network is meant to tell apart."""
    stem_dim: int = 64
    """Channels of the stem."""
    expansion: int = 4
    """Output channels of a bottleneck over its width."""
    scope: int = 23
    """Default scope with intra-depth 1."""
    scope_intra: int = 7
    """Default scope with an intra-depth above 1: the only one that fits the paper's count for u = 4."""

    @property
    def num_lambda_blocks(self) -> int:
        """How many bottlenecks hold a lambda layer."""
        return sum(len(stage.lambda_blocks) for stage in self.stages)


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What every model name takes beside `num_classes` and `in_chans`.

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
    global_pool: str = "avg"
    """Pooling before the classifier: avg, max, avgmax (their mean), catavgmax (both), or "" (none)."""
    drop_rate: float = 0.0
    """Dropout before the classifier."""
    drop_path_rate: float = 0.0
    """Stochastic depth of c5; c2, c3 and c4 take 2/5, 3/5 and 4/5 of it."""
    checkpointing: bool = False
    """True: training keeps only each bottleneck's input and computes the rest again in the backward pass."""

    def __post_init__(self) -> None:
        for field in ("dim_key", "num_heads", "dim_intra"):
            check_number(field, getattr(self, field), 1, MAX_NUMBER)
        for field in ("content", "shared_tables", "checkpointing"):
            if not isinstance(getattr(self, field), bool):
                raise ValueError(f"{field} is {getattr(self, field)!r}; it must be true or false.")
        for field in ("drop_rate", "drop_path_rate"):
            rate = getattr(self, field)
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0.0 <= rate < 1.0:
                raise ValueError(f"{field} is {rate!r}; it must be a number in [0, 1): the share that is dropped.")
        check_network_scope(self.scope)
        if self.scope is None and not self.content:
            raise ValueError(
                "scope is None and content is False, which leaves nothing to compute; give one of the two."
            )
        check_names(self.normalize_keys, str(self.impl))
        check_global_pool(self.global_pool)


def check_number(name: str, number: object, low: int, high: int | None = None) -> None:
    """Raise ValueError unless `number` is a whole number from `low` to `high` (None: without end)."""
    if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= (high or number):
        span = f"{low} or more" if high is None else f"{low} to {high}"
        raise ValueError(f"{name} is {number!r}; it must be a whole number, {span}.")


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


def check_global_pool(kind: str) -> None:
    """Raise ValueError unless `kind` is a known global pool."""
    if kind not in GLOBAL_POOLS:
        known = ", ".join(repr(name) for name in GLOBAL_POOLS)
        raise ValueError(f"unknown global_pool {kind!r}; take one of {known}.")
