"""The networks of the paper's study: a vanilla ResNet-50 whose 3 × 3 convolutions give way to lambda layers by stage.

A name spells the stages c2 → c5: `resnet50_ccll` has lambda layers (l) in every block of c4 and c5 and convolutions
(c) in c2 and c3. Table 3 and Table 12 of the paper; 7 × 7 stem, max-pool, projection shortcuts.
"""

from lambdanets.models.spec import NetworkSpec, StageSpec

BLOCKS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)
PLACEMENTS = ("cccc", "lccc", "llcc", "lllc", "llll", "clll", "ccll", "cccl")


def study_spec(placement: str) -> NetworkSpec:
    """ResNet-50 with lambda layers in the stages marked l in `placement`, convolutions in those marked c."""
    c2, c3, c4, c5 = (
        StageSpec(blocks=blocks, width=width, mixer_blocks=tuple(range(1, blocks + 1)) if letter == "l" else ())
        for blocks, width, letter in zip(BLOCKS, WIDTHS, placement, strict=True)
    )
    return NetworkSpec(stages=(c2, c3, c4, c5), design="vanilla", image_size=224)


SPECS = {f"resnet50_{placement}": study_spec(placement) for placement in PLACEMENTS}
