"""What a network is, as frozen values: its stages, its family's design, and the options that every network has.

Specs are the paper's tables (sections 2 and 3 of the paper's facts); options are what a user may change.
What stands in a bottleneck's middle has options of its own: see `lambdas`. Nothing here builds a module: see `build`.
"""

from dataclasses import dataclass
from typing import Literal

Design = Literal["vanilla", "resnet-rs", "tiny"]

GLOBAL_POOLS = ("avg", "max", "avgmax", "catavgmax", "")
STAGE_NAMES = ("c2", "c3", "c4", "c5")
DROP_PATH_SHARES = (2 / 5, 3 / 5, 4 / 5, 5 / 5)  # stochastic depth grows by stage, c2 … c5 (ResNet-RS)


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One stage of bottlenecks; the first of c3, c4 and c5 halves the map."""

    blocks: int
    """Number of bottlenecks."""
    width: int
    """Channels of the spatial mixing inside a bottleneck; the stage's output has `expansion` times as many."""
    mixer_blocks: tuple[int, ...] = ()
    """1-based positions of the bottlenecks whose 3 × 3 convolution gives way to the network's mixer."""
    squeeze_excite: float | None = None
    """Every bottleneck weighs its output channels after the last norm: hidden over output channels; None: none does."""


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A whole network: four stages c2 … c5 (strides 4, 8, 16, 32) on a stem, or the first few of them."""

    stages: tuple[StageSpec, ...]
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


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What every model name takes beside `num_classes` and `in_chans`.

    Raises ValueError for a number, rate or name that no network can have, and for a value of another type.
    """

    global_pool: str = "avg"
    """Pooling before the classifier: avg, max, avgmax (their mean), catavgmax (both), or "" (none)."""
    drop_rate: float = 0.0
    """Dropout before the classifier."""
    drop_path_rate: float = 0.0
    """Stochastic depth of c5; c2, c3 and c4 take 2/5, 3/5 and 4/5 of it."""
    checkpointing: bool = False
    """True: training keeps only each bottleneck's input and computes the rest again in the backward pass."""

    def __post_init__(self) -> None:
        check_flag("checkpointing", self.checkpointing)
        for field in ("drop_rate", "drop_path_rate"):
            rate = getattr(self, field)
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0.0 <= rate < 1.0:
                raise ValueError(f"{field} is {rate!r}; it must be a number in [0, 1): the share that is dropped.")
        check_global_pool(self.global_pool)


def check_flag(name: str, value: object) -> None:
    """Raise ValueError unless `value` is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}; it must be true or false.")


def check_number(name: str, number: object, low: int, high: int | None = None) -> None:
    """Raise ValueError unless `number` is a whole number from `low` to `high` (None: without end)."""
    if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= (high or number):
        span = f"{low} or more" if high is None else f"{low} to {high}"
        raise ValueError(f"{name} is {number!r}; it must be a whole number, {span}.")


def check_global_pool(kind: str) -> None:
    """Raise ValueError unless `kind` is a known global pool."""
    if kind not in GLOBAL_POOLS:
        known = ", ".join(repr(name) for name in GLOBAL_POOLS)
        raise ValueError(f"unknown global_pool {kind!r}; take one of {known}.")
