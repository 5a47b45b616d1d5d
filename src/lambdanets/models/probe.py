"""Small networks that differ in one thing, for the controlled study of long range: how their positions mix.

After a stem of two strided 3 × 3 convolutions three bottlenecks work on one map of a quarter of the sides; no stride
widens what they see. With 3 × 3 convolutions a position of the last map sees 31 pixels a side; dilated by 1, 2 and 4
63. Widths are such that all networks have nearly equally many parameters, 54 to 58 thousand with one input channel,
two classes and four heads.
"""

from dataclasses import dataclass
from itertools import cycle

from torch import nn

from lambdanets.models.attentions import AttentionOptions, LocalOptions
from lambdanets.models.baselines import mixing, with_squeeze_excite
from lambdanets.models.blocks import convolution
from lambdanets.models.spec import NetworkSpec, StageSpec

BLOCKS = 3
DILATIONS = (1, 2, 4)
SE_RATIO = 1 / 4


@dataclass(frozen=True, kw_only=True)
class ProbeAttentionOptions(AttentionOptions):
    """The options of probe networks with attention: as many heads as those with lambda layers."""

    num_heads: int = 4


@dataclass(frozen=True, kw_only=True)
class ProbeLocalOptions(LocalOptions):
    """The options of the probe network with local attention."""

    num_heads: int = 4


def probe_spec(width: int) -> NetworkSpec:
    """The network with mixers of `width` channels, and as many everywhere else."""
    stage = StageSpec(blocks=BLOCKS, width=width, mixer_blocks=tuple(range(1, BLOCKS + 1)))
    return NetworkSpec(
        stages=(stage,), design="tiny", image_size=64, in_chans=1, num_classes=2, stem_dim=width, expansion=1
    )


class DilatedConvolutions:
    """Makes 3 × 3 convolutions whose dilation goes through `DILATIONS`, one after the other."""

    def __init__(self) -> None:
        self.dilations = cycle(DILATIONS)

    def layer(self, width: int, *, reduction: int, stride: int) -> nn.Conv2d:
        """A convolution of `width` channels."""
        return convolution(width, width, 3, stride, next(self.dilations))


class PatchConvolutions:
    """Makes 1 × 1 convolutions: the network sees patches of 7 pixels a side, as its stem does, not where they are."""

    def layer(self, width: int, *, reduction: int, stride: int) -> nn.Conv2d:
        """A convolution of `width` channels."""
        return convolution(width, width, 1, stride)


PATCH_SPECS = {"probe_patches": probe_spec(54)}
CONVOLUTION_SPECS = {"probe_convolution": probe_spec(36)}
DILATED_SPECS = {"probe_dilated": probe_spec(36)}
SE_SPECS = {"probe_se": with_squeeze_excite(probe_spec(35), SE_RATIO)}
RELATIVE_SPECS = {"probe_attention": probe_spec(44)}
AXIAL_SPECS = {"probe_axial_attention": probe_spec(44)}
LOCAL_SPECS = {"probe_local_attention": probe_spec(48)}
LINEAR_SPECS = {"probe_linear_attention": probe_spec(44)}
LAMBDA_SPECS = {"probe_lambda": probe_spec(36)}

build_patches = mixing(lambda options, spec: PatchConvolutions())
build_dilated = mixing(lambda options, spec: DilatedConvolutions())
