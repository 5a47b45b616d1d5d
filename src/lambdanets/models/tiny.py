"""The demo network: a residual network small enough to train in a minute on a CPU.

After a stem of two strided 3 × 3 convolutions, every spatial mixing is a lambda layer with content and position;
shortcuts pool. Not a network of the paper: it proves the pipeline on 32-pixel digits.
"""

from functools import partial

from lambdanets.models.lambdas import build_lambda_network
from lambdanets.models.spec import NetworkSpec, StageSpec

SPECS = {
    "lambda_tiny": NetworkSpec(
        stages=(
            StageSpec(blocks=2, width=16, mixer_blocks=(1, 2)),
            StageSpec(blocks=2, width=24, mixer_blocks=(1, 2)),
            StageSpec(blocks=1, width=32, mixer_blocks=(1,)),
            StageSpec(blocks=1, width=32, mixer_blocks=(1,)),
        ),
        design="tiny",
        image_size=32,
        in_chans=1,
        num_classes=10,
        stem_dim=32,
        expansion=2,
    )
}

build_tiny = partial(build_lambda_network, scope=5, scope_intra=5)
