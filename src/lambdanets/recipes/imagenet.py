"""The paper's two recipes for ImageNet: 90 epochs for the networks of its study, 350 for the LambdaResNets.

Nesterov momentum, a linear rise to 0.1 · batch / 256, a cosine to 0, no weight decay on norms, label smoothing, an
average with a warm-up, bfloat16 products: section 4 of the paper's facts. The regularisation of the LambdaResNets is
the closest that was released, ResNet-RS's, by depth and image size.
"""

import re
from typing import NamedTuple

from lambdanets.data.loader import LoaderConfig
from lambdanets.data.stored import StoredConfig
from lambdanets.recipes.machine import best_device, spare_cores
from lambdanets.training.average import AverageConfig
from lambdanets.training.checkpoint import CheckpointConfig
from lambdanets.training.classification import ClassificationConfig
from lambdanets.training.config import Config
from lambdanets.training.optimizer import OptimizerConfig
from lambdanets.training.precision import PrecisionConfig
from lambdanets.training.schedule import ScheduleConfig

WARMUP_EPOCHS = 5
LONGEST_WARMUP = 0.2
"""Share of the run; runs of fewer than 25 epochs rise for less than the paper's five."""


class Regularisation(NamedTuple):
    """What keeps a large network from learning its pictures by heart."""

    magnitude: int = 10
    """Of RandAugment."""
    dropout: float = 0.0
    """Before the classifier."""
    stochastic_depth: float = 0.0
    """Of c5; the earlier stages have less."""


_MODERATE, _STRONG = Regularisation(10, 0.25, 0.0), Regularisation(15, 0.25, 0.0)
_DEEP, _DEEPEST = Regularisation(15, 0.25, 0.1), Regularisation(15, 0.4, 0.1)
REGULARISATION: dict[int, dict[int, Regularisation]] = {
    50: {160: _MODERATE},
    101: {160: _MODERATE, 192: _STRONG},
    152: {192: _STRONG},
    200: {256: _DEEP},
    270: {256: _DEEP},
    350: {256: _DEEP, 320: _DEEPEST},
    420: {320: _DEEPEST},
}
"""Depth → image size from which on → what was released for it."""


def regularisation_of(model: str, image_size: int) -> Regularisation:
    """That of the largest listed size up to `image_size`, else of the smallest; the weakest for other networks."""
    named = re.fullmatch(r"lambda_resnet(\d+)", model)
    sizes = REGULARISATION.get(int(named[1])) if named else None
    if sizes is None:
        return Regularisation()
    return sizes[max((size for size in sizes if size <= image_size), default=min(sizes))]


def imagenet_90(
    *, model: str = "resnet50_llll", image_size: int = 224, batch_size: int = 4096, epochs: float = 90
) -> Config:
    """A network of the paper's study, resnet50_cccc … resnet50_llll, for 90 epochs at 224 pixels.

    Command: lambdanets train imagenet_90 --data IMAGENET --set model=resnet50_llll --out RUN
    Machine: GPUs; the paper had TPUs. Fewer GPUs take longer, and where memory asks, smaller parts of a batch
    Time: not measured; the paper tells none
    Expected: top-1 % by the paper: cccc 76.9, lccc 77.3, llcc 77.2, lllc 77.8, llll 78.4, clll 78.3, ccll 78.3,
        cccl 77.3; llll with model_options.dim_intra=4 78.9, with model_options.dim_key=8 77.9
    Measured: not measured: needs ImageNet
    """
    return Config(
        recipe="imagenet_90",
        model=model,
        data=StoredConfig(image_size=image_size),
        task=ClassificationConfig(label_smoothing=0.1),
        batch_size=batch_size,
        micro_batch_size=256,
        epochs=epochs,
        optimizer=sgd(batch_size, weight_decay=1e-4),
        schedule=rise_and_cosine(epochs),
        average=AverageConfig(decay=0.9999),
        checkpoint=CheckpointConfig(every_steps=300),
        judge_every_epochs=5,
        precision=PrecisionConfig(dtype="bfloat16", channels_last=True),
        loader=LoaderConfig(workers=spare_cores()),
        device=best_device(),
    )


def imagenet_350(
    *, model: str = "lambda_resnet50", image_size: int = 160, batch_size: int = 4096, epochs: float = 350
) -> Config:
    """A LambdaResNet for 350 epochs; RandAugment, dropout and stochastic depth follow its depth and the image size.

    Add --set data.holdout=0.02 to judge on pictures held out of the training split, as the paper's authors did.

    Command: lambdanets train imagenet_350 --data IMAGENET --set model=lambda_resnet50 --set data.image_size=160
        --out RUN
    Machine: GPUs; the paper had 8 to 32 TPUv3 cores. --set batch_size=2048 where memory asks
    Time: not measured; by the paper's step times on 8 TPUv3 cores, 50 at 160 pixels 11 h, 152 at 256 60 h,
        420 at 320 274 h
    Expected: top-1 % by the paper, depth at size: 50 at 128 77.4, 50 at 160 79.2, 101 at 160 80.8, 101 at 192 81.9,
        152 at 192 82.5, at 224 83.2, at 256 83.8, 270 at 256 84.2, 350 at 256 84.4, at 288 84.5, at 320 84.7,
        420 at 320 84.9
    Measured: not measured: needs ImageNet
    """
    strength = regularisation_of(model, image_size)
    return Config(
        recipe="imagenet_350",
        model=model,
        model_options={"drop_rate": strength.dropout, "drop_path_rate": strength.stochastic_depth},
        data=StoredConfig(image_size=image_size, rand_augment_layers=2, rand_augment_magnitude=strength.magnitude),
        task=ClassificationConfig(label_smoothing=0.1),
        batch_size=batch_size,
        micro_batch_size=256,
        epochs=epochs,
        optimizer=sgd(batch_size, weight_decay=4e-5),
        schedule=rise_and_cosine(epochs),
        average=AverageConfig(decay=0.9999),
        checkpoint=CheckpointConfig(every_steps=300),
        judge_every_epochs=10,
        precision=PrecisionConfig(dtype="bfloat16", channels_last=True),
        loader=LoaderConfig(workers=spare_cores()),
        device=best_device(),
    )


def sgd(batch_size: int, *, weight_decay: float, rate: float = 0.1) -> OptimizerConfig:
    """Nesterov momentum, at a learning rate of `rate` for each 256 samples of a batch."""
    peak = rate * batch_size / 256
    return OptimizerConfig(name="sgd", learning_rate=peak, weight_decay=weight_decay, momentum=0.9)


def rise_and_cosine(epochs: float) -> ScheduleConfig:
    """Linear from 0 over five epochs, then a cosine to 0."""
    share = min(WARMUP_EPOCHS / epochs, LONGEST_WARMUP)
    return ScheduleConfig(warmup_fraction=share, warmup_shape="linear", start_factor=0.0, final_factor=0.0)
