"""From a spec and options to a network: plain builders, the only place where specs meet modules."""

from itertools import pairwise
from typing import Protocol

from torch import nn

from lambdanets.layers import SqueezeExcite
from lambdanets.models.blocks import Bottleneck, build_shortcut, build_stem, convolution
from lambdanets.models.network import ResNet
from lambdanets.models.spec import DROP_PATH_SHARES, Design, NetworkOptions, NetworkSpec, StageSpec


class Mixers(Protocol):
    """Makes what mixes positions in the middle of a network's bottlenecks."""

    def layer(self, width: int, *, reduction: int, stride: int) -> nn.Module:
        """Maps (b, width, *N) to (b, width, *ceil(N / stride)), on a map of 1 / `reduction` of the image."""
        ...


class Convolutions:
    """Makes 3 × 3 convolutions, their entries `dilation` positions apart."""

    def __init__(self, dilation: int = 1) -> None:
        self.dilation = dilation

    def layer(self, width: int, *, reduction: int, stride: int) -> nn.Conv2d:
        """A convolution of `width` channels; it is the same on every map."""
        return convolution(width, width, 3, stride, self.dilation)


def build_network(
    spec: NetworkSpec, options: NetworkOptions, *, num_classes: int, in_chans: int, mixers: Mixers
) -> ResNet:
    """The network of `spec` with freshly drawn weights, in training mode; `mixers` makes those of its mixer blocks."""
    stem, step = build_stem(spec.design, in_chans, spec.stem_dim)
    dims = (spec.stem_dim, *(stage.width * spec.expansion for stage in spec.stages))
    stages = [
        build_stage(
            stage,
            *sides,
            design=spec.design,
            reduction=2 ** (index + 2),
            stride=2 if index else 1,
            mixers=mixers,
            drop_path=options.drop_path_rate * DROP_PATH_SHARES[index],
        )
        for index, (stage, sides) in enumerate(zip(spec.stages, pairwise(dims), strict=True))
    ]
    network = ResNet(
        stem,
        step,
        stages,
        dims=dims,
        in_chans=in_chans,
        num_classes=num_classes,
        global_pool=options.global_pool,
        drop_rate=options.drop_rate,
    )
    network.set_grad_checkpointing(options.checkpointing)
    return network


def build_stage(
    stage: StageSpec,
    dim: int,
    dim_out: int,
    *,
    design: Design,
    reduction: int,
    stride: int,
    mixers: Mixers,
    drop_path: float = 0.0,
) -> nn.Sequential:
    """The bottlenecks of a stage, from `dim` to `dim_out` channels.

    Args:
        stage: how many, of what width, and which of them hold a mixer.
        dim: channels of the stage's input.
        dim_out: channels of its output.
        design: of the shortcuts, see `blocks`.
        reduction: side of the image over that of the stage's output.
        stride: of the first bottleneck.
        mixers: makes the mixers.
        drop_path: probability that a sample skips a bottleneck in training.
    """
    blocks = []
    convolutions = Convolutions()
    for position in range(1, stage.blocks + 1):
        step, entering = (stride, dim) if position == 1 else (1, dim_out)
        maker = mixers if position in stage.mixer_blocks else convolutions
        ratio = stage.squeeze_excite
        block = Bottleneck(
            entering,
            stage.width,
            dim_out,
            mixer=maker.layer(stage.width, reduction=reduction // step, stride=step),
            shortcut=build_shortcut(design, entering, dim_out, step),
            squeeze_excite=None if ratio is None else SqueezeExcite(dim_out, ratio=ratio),
            drop_path=drop_path,
        )
        blocks.append(block)
    return nn.Sequential(*blocks)
