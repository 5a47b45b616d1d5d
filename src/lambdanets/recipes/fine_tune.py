"""The recipe that teaches a trained network other classes, at another resolution."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lambdanets.data.loader import LoaderConfig
from lambdanets.data.stored import IMAGENET_MEAN, IMAGENET_STD, StoredConfig
from lambdanets.recipes.imagenet import rise_and_cosine, sgd
from lambdanets.recipes.machine import best_device, spare_cores
from lambdanets.training.average import AverageConfig
from lambdanets.training.config import Config
from lambdanets.training.fine_tuning import FineTuneConfig
from lambdanets.training.folder import RunFolder, read_config
from lambdanets.training.precision import PrecisionConfig

DEFAULT_MODEL = "lambda_resnet50"


def fine_tune(
    *, init: str = "", model: str | None = None, image_size: int = 224, batch_size: int = 256, epochs: float = 20
) -> Config:
    """A trained network with a new classifier, on your own pictures.

    `task.init` is the folder of a finished run, which also says the network, its options and how pixels are
    normalised; or a .safetensors file, to which `model` and `model_options` have to be given as it was trained.

    Command: lambdanets train fine_tune --data PICTURES --set task.init=RUN --out TUNED
    Machine: one GPU, or a CPU for small networks
    Time: not measured; it depends on the network and the pictures
    Expected: the paper tells nothing of this
    Measured: not measured: needs a network trained on ImageNet
    """
    stored = _stored_config(init)
    data = stored.get("data", {})
    return Config(
        recipe="fine_tune",
        model=model or str(stored.get("model", DEFAULT_MODEL)),
        model_options=stored.get("model_options", {}),
        data=StoredConfig(
            image_size=image_size,
            mean=tuple(data.get("mean", IMAGENET_MEAN)),
            std=tuple(data.get("std", IMAGENET_STD)),
        ),
        task=FineTuneConfig(init=init, label_smoothing=0.1),
        batch_size=batch_size,
        epochs=epochs,
        optimizer=sgd(batch_size, weight_decay=4e-5, rate=0.01),
        schedule=rise_and_cosine(epochs),
        average=AverageConfig(decay=0.999),
        precision=PrecisionConfig(dtype="bfloat16", channels_last=True),
        loader=LoaderConfig(workers=spare_cores()),
        device=best_device(),
    )


def _stored_config(init: str) -> Mapping[str, Any]:
    """The config of the run that is begun from; nothing where that is no run but mere weights."""
    folder = RunFolder(Path(init))
    return read_config(folder) if init and folder.path.is_dir() else {}
