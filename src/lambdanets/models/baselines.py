"""The networks of the paper's Table 3 beside its lambda networks: a vanilla ResNet-50 with other layers in it.

`resnet50_se` has squeeze-excite behind every bottleneck; `resnet50_augmented` is AA-ResNet-50, whose 3 × 3 convolutions
of c3, c4 and c5 are augmented; in the others every 3 × 3 convolution gives way to an attention layer.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lambdanets.models.attentions import (
    AugmentedConvolutions,
    AxialAttentions,
    LinearAttentions,
    LocalAttentions,
    RelativeAttentions,
)
from lambdanets.models.build import Convolutions, Mixers, build_network
from lambdanets.models.network import ResNet
from lambdanets.models.resnet import study_spec
from lambdanets.models.spec import NetworkOptions, NetworkSpec

SE_RATIO = 1 / 16
"""Hidden over output channels of the squeeze-excite paper, its reduction of 16."""

EVERY_BLOCK = study_spec("llll")


def with_squeeze_excite(spec: NetworkSpec, ratio: float) -> NetworkSpec:
    """The same network with squeeze-excite in every bottleneck."""
    return replace(spec, stages=tuple(replace(stage, squeeze_excite=ratio) for stage in spec.stages))


def mixing(make: Callable[[Any, NetworkSpec], Mixers]) -> Callable[..., ResNet]:
    """The builder (spec, options, num_classes=, in_chans=) of networks whose mixers `make(options, spec)` makes."""

    def build(spec: NetworkSpec, options: NetworkOptions, *, num_classes: int, in_chans: int) -> ResNet:
        """The network of `spec`."""
        return build_network(spec, options, num_classes=num_classes, in_chans=in_chans, mixers=make(options, spec))

    return build


SE_SPECS = {"resnet50_se": with_squeeze_excite(study_spec("cccc"), SE_RATIO)}
LINEAR_SPECS = {"resnet50_linear_attention": EVERY_BLOCK}
RELATIVE_SPECS = {"resnet50_attention": EVERY_BLOCK}
AUGMENTED_SPECS = {"resnet50_augmented": study_spec("clll")}
AXIAL_SPECS = {"resnet50_axial_attention": EVERY_BLOCK}
LOCAL_SPECS = {"resnet50_local_attention": EVERY_BLOCK}

build_convolutional = mixing(lambda options, spec: Convolutions())
build_linear = mixing(lambda options, spec: LinearAttentions(options))
build_relative = mixing(lambda options, spec: RelativeAttentions(options, image_size=spec.image_size))
build_augmented = mixing(lambda options, spec: AugmentedConvolutions(options, image_size=spec.image_size))
build_axial = mixing(lambda options, spec: AxialAttentions(options, image_size=spec.image_size))
build_local = mixing(lambda options, spec: LocalAttentions(options))
