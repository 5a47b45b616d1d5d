"""Small networks for the detection demo: scenes of about a hundred pixels, trained in minutes on a CPU.

`lambda_scenes` mixes positions by lambda layers alone, once its stem of two 3 × 3 convolutions has brought the image
to a quarter. `conv_scenes` is its twin with 3 × 3 convolutions in their place. Both have the same stem, blocks and
channels between blocks; a bottleneck is a third of those wide around a lambda layer and a quarter around a convolution,
which makes their parameters nearly equal. Not networks of the paper.
"""

from typing import Any

from lambdanets.models.lambdas import LambdaOptions, build_lambda_network
from lambdanets.models.network import ResNet
from lambdanets.models.spec import NetworkSpec, StageSpec

BLOCKS = (1, 2, 2, 1)
DIMS = (48, 96, 144, 144)
LAMBDA_EXPANSION, CONVOLUTION_EXPANSION = 3, 4


def scene_spec(*, with_lambdas: bool) -> NetworkSpec:
    """A network of `BLOCKS` bottlenecks a stage with `DIMS` channels between them."""
    expansion = LAMBDA_EXPANSION if with_lambdas else CONVOLUTION_EXPANSION
    c2, c3, c4, c5 = (
        StageSpec(
            blocks=blocks,
            width=dim // expansion,
            mixer_blocks=tuple(range(1, blocks + 1)) if with_lambdas else (),
        )
        for blocks, dim in zip(BLOCKS, DIMS, strict=True)
    )
    return NetworkSpec(
        stages=(c2, c3, c4, c5), design="tiny", image_size=96, num_classes=10, stem_dim=32, expansion=expansion
    )


SPECS = {"lambda_scenes": scene_spec(with_lambdas=True), "conv_scenes": scene_spec(with_lambdas=False)}


def build_scene_network(name: str, **options: Any) -> ResNet:
    """The network `name` of `SPECS` without a classifier; options are those of `LambdaOptions`."""
    return build_lambda_network(SPECS[name], LambdaOptions(**options), num_classes=0, in_chans=3, scope=7)
