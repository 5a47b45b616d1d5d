"""The LambdaResNet family: the hybrid networks of the final paper, from 50 to 420 layers.

ResNet-RS stem, ResNet-D shortcuts, squeeze-excite in c2 and c3; a few lambda layers spread over c4, all of c5.
The numbers of c4's lambda blocks are the paper's; that they stand at equal distances is remembered, not quoted.
The placements and the stages with squeeze-excite reproduce the parameter counts published for 152, 350 and 420.
"""

from dataclasses import dataclass, replace
from typing import Literal

from lambdanets.models.lambdas import LambdaOptions, build_lambda_network
from lambdanets.models.network import ResNet
from lambdanets.models.spec import NetworkSpec, StageSpec


@dataclass(frozen=True, kw_only=True)
class FamilyOptions(LambdaOptions):
    """The options of the LambdaResNet family. Raises ValueError for an unknown `c4`."""

    c4: Literal["hybrid", "all"] = "hybrid"
    """"hybrid": the few lambda blocks of the final paper; "all": every block of c4, as in the submission."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.c4 not in ("hybrid", "all"):
            raise ValueError(f"c4 is {self.c4!r}; take 'hybrid' (the final paper) or 'all' (the submission).")


def family_spec(blocks: tuple[int, int, int, int], c4_positions: tuple[int, ...], image_size: int) -> NetworkSpec:
    """A hybrid network with lambda layers at the 1-based `c4_positions` of c4 and in every block of c5."""
    return NetworkSpec(
        stages=(
            StageSpec(blocks=blocks[0], width=64, squeeze_excite=0.25),
            StageSpec(blocks=blocks[1], width=128, squeeze_excite=0.25),
            StageSpec(blocks=blocks[2], width=256, mixer_blocks=c4_positions),
            StageSpec(blocks=blocks[3], width=512, mixer_blocks=tuple(range(1, blocks[3] + 1))),
        ),
        design="resnet-rs",
        image_size=image_size,
    )


SPECS = {
    "lambda_resnet50": family_spec((3, 4, 6, 3), (3,), 160),
    "lambda_resnet101": family_spec((3, 4, 23, 3), (6, 12, 18), 192),
    "lambda_resnet152": family_spec((3, 8, 36, 3), (5, 10, 15, 20, 25, 30), 256),
    "lambda_resnet200": family_spec((3, 24, 36, 3), (5, 10, 15, 20, 25, 30), 256),
    "lambda_resnet270": family_spec((4, 29, 53, 4), (8, 16, 24, 32, 40, 48), 256),
    "lambda_resnet350": family_spec((4, 36, 72, 4), (10, 20, 30, 40, 50, 60), 320),
    "lambda_resnet420": family_spec((4, 44, 87, 4), (10, 20, 30, 40, 50, 60, 70, 80), 320),
}


def build_lambda_resnet(spec: NetworkSpec, options: FamilyOptions, *, num_classes: int, in_chans: int) -> ResNet:
    """A network of the family, in the final paper's form or, with `c4="all"`, the submission's."""
    chosen = with_every_c4_block(spec) if options.c4 == "all" else spec
    return build_lambda_network(chosen, options, num_classes=num_classes, in_chans=in_chans)


def with_every_c4_block(spec: NetworkSpec) -> NetworkSpec:
    """The same network with a lambda layer in every block of c4."""
    c2, c3, c4, c5 = spec.stages
    return replace(spec, stages=(c2, c3, replace(c4, mixer_blocks=tuple(range(1, c4.blocks + 1))), c5))
