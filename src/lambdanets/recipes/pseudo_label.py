"""The paper's semi-supervised setting: a student that learns from true labels and from a teacher's, jointly."""

from dataclasses import replace

from lambdanets.data.pseudo import PseudoConfig
from lambdanets.data.stored import StoredConfig
from lambdanets.recipes.imagenet import imagenet_350
from lambdanets.training.config import Config


def pseudo_label(
    *, model: str = "lambda_resnet152", image_size: int = 288, batch_size: int = 4096, epochs: float = 350
) -> Config:
    """A LambdaResNet on labelled and pseudo-labelled pictures, all else as in imagenet_350.

    The labels are those that lambdanets pseudo-label wrote; data.pseudo.share of each batch is of them, the share that
    the paper leaves open. An epoch is as many samples as both parts have pictures.

    Command: lambdanets train pseudo_label --data IMAGENET --set data.pseudo.labels=LABELS --out RUN
    Machine: GPUs; the paper had TPUv3 cores
    Time: not measured; the paper tells none
    Expected: top-1 % by the paper, 152 at 288 with 130 million pictures labelled by a teacher: 86.7
    Measured: not measured: needs ImageNet and a pool. On the digits with 100 labels: docs/pseudo-labels.md
    """
    config = imagenet_350(model=model, image_size=image_size, batch_size=batch_size, epochs=epochs)
    assert isinstance(config.data, StoredConfig)
    return replace(config, recipe="pseudo_label", data=replace(config.data, pseudo=PseudoConfig(labels="")))
