"""Attention layers as the mixers of a network: the baselines that the paper compares lambda layers with.

Each maker here makes the layer of one baseline for any width; its options are what the layer's own paper fixes.
Those with embeddings of positions are told the side of the images that they are meant for, and take any other.
"""

from dataclasses import dataclass

from lambdanets.layers.attention import (
    AugmentedConvolution,
    AxialAttention,
    LinearAttention,
    LocalAttention,
    RelativeAttention,
)
from lambdanets.models.spec import NetworkOptions, check_number

MAX_HEADS = 4096
MAX_WINDOW = 63
"""Largest window of local attention: keys and values are laid out once for every place in it."""


@dataclass(frozen=True, kw_only=True)
class AttentionOptions(NetworkOptions):
    """What the names with attention layers take beside `num_classes` and `in_chans`."""

    num_heads: int = 8
    """h; must divide the width of every stage that holds an attention layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("num_heads", self.num_heads, 1, MAX_HEADS)


@dataclass(frozen=True, kw_only=True)
class LocalOptions(AttentionOptions):
    """The options of networks with local attention. Raises ValueError for an even window."""

    scope: int = 7
    """r, odd side of the window that a position attends to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("scope", self.scope, 1, MAX_WINDOW)
        if self.scope % 2 == 0:
            raise ValueError(f"scope is {self.scope}; the side of the window must be odd: {self.scope + 1} is.")


@dataclass(frozen=True, kw_only=True)
class AugmentedOptions(AttentionOptions):
    """The options of networks with attention-augmented convolutions. Raises ValueError for a share that is none."""

    key_share: float = 0.2
    """κ: depth of all queries over the width."""
    value_share: float = 0.1
    """υ: channels that attention makes over the width; the convolution makes the others."""
    min_dim_key: int = 20
    """Least depth of the queries of a head."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("key_share", "value_share"):
            share = getattr(self, field)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
                raise ValueError(f"{field} is {share!r}; it must be a number between 0 and 1: a share of the width.")
        check_number("min_dim_key", self.min_dim_key, 1, 4096)


class LinearAttentions:
    """Makes the layers of linear attention (Shen et al. 2018)."""

    def __init__(self, options: AttentionOptions) -> None:
        self.options = options

    def layer(self, width: int, *, reduction: int, stride: int) -> LinearAttention:
        """A layer of `width` channels; it is the same on every map."""
        return LinearAttention(width, num_heads=self.options.num_heads, stride=stride)


class RelativeAttentions:
    """Makes the layers of global attention with relative positions (Bello et al. 2019)."""

    def __init__(self, options: AttentionOptions, *, image_size: int) -> None:
        self.options, self.image_size = options, image_size

    def layer(self, width: int, *, reduction: int, stride: int) -> RelativeAttention:
        """A layer of `width` channels on a map of 1 / `reduction` of the image."""
        size = map_size(self.image_size, reduction)
        return RelativeAttention(width, size=size, num_heads=self.options.num_heads, stride=stride)


class AxialAttentions:
    """Makes the layers of axial attention (Wang et al. 2020)."""

    def __init__(self, options: AttentionOptions, *, image_size: int) -> None:
        self.options, self.image_size = options, image_size

    def layer(self, width: int, *, reduction: int, stride: int) -> AxialAttention:
        """A layer of `width` channels on a map of 1 / `reduction` of the image."""
        size = map_size(self.image_size, reduction)
        return AxialAttention(width, size=size, num_heads=self.options.num_heads, stride=stride)


class LocalAttentions:
    """Makes the layers of local attention (Ramachandran et al. 2019)."""

    def __init__(self, options: LocalOptions) -> None:
        self.options = options

    def layer(self, width: int, *, reduction: int, stride: int) -> LocalAttention:
        """A layer of `width` channels; it is the same on every map."""
        return LocalAttention(width, scope=self.options.scope, num_heads=self.options.num_heads, stride=stride)


class AugmentedConvolutions:
    """Makes attention-augmented convolutions (Bello et al. 2019).

    Args:
        options: of the layers.
        image_size: side of the images in pixels.
        coarse_reduction: of maps so fine attention sees half the sides; AA-ResNet's finest augmented maps are 28 × 28,
            1 / 8 of the image.
    """

    def __init__(self, options: AugmentedOptions, *, image_size: int, coarse_reduction: int = 8) -> None:
        self.options, self.image_size, self.coarse_reduction = options, image_size, coarse_reduction

    def layer(self, width: int, *, reduction: int, stride: int) -> AugmentedConvolution:
        """A layer of `width` channels on a map of 1 / `reduction` of the image.

        Depths are whole a head: that of the values is the nearest to υ · width / h, of the queries to κ · width / h.
        """
        options, heads = self.options, self.options.num_heads
        coarse = reduction * stride <= self.coarse_reduction
        return AugmentedConvolution(
            width,
            size=map_size(self.image_size, reduction * stride * (2 if coarse else 1)),
            dim_key=max(options.min_dim_key, round(options.key_share * width / heads)),
            dim_value=max(1, round(options.value_share * width / heads)),
            num_heads=heads,
            stride=stride,
            coarse=coarse,
        )


def map_size(image_size: int, reduction: int) -> tuple[int, int]:
    """Rows and columns of the map of 1 / `reduction` of a square image; what is left over counts as one more."""
    side = -(-image_size // reduction)
    return side, side
