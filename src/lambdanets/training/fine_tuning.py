"""Classification that begins from trained weights: all but the classifier, which is drawn anew."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lambdanets.models.network import ResNet
from lambdanets.models.weights import load_weights, stored_shape
from lambdanets.training.classification import ClassificationConfig, ClassificationTask
from lambdanets.training.distributed import Ranks
from lambdanets.training.folder import RunFolder

if TYPE_CHECKING:
    from lambdanets.training.config import Config


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig(ClassificationConfig):
    """What is begun from, and how the classifier is taught."""

    init: str = ""
    """Where the trained weights are: the folder of a finished run, or a .safetensors file. Read when the run begins
    and when it is resumed; the finished run does without."""

    def build(self, config: "Config", ranks: Ranks) -> ClassificationTask:
        """The task, whose network begins from those weights."""
        if not self.init:
            raise ValueError(
                "task.init: nothing to begin from was named: give a finished run or weights, --set task.init=RUN."
            )
        return replace(super().build(config, ranks), begin_from=lambda model: fill_but_classifier(model, self.init))


def fill_but_classifier(model: ResNet, init: str) -> None:
    """Fill a network with trained weights, however many classes they tell apart; its classifier is drawn anew.

    Raises:
        ValueError: there are no such weights, or they are another network's.
    """
    path = Path(init)
    if path.is_dir():
        path = RunFolder(path).weights
    if not path.is_file():
        raise ValueError(f"task.init: there are no weights at {path}; give a finished run or a .safetensors file.")
    num_classes, shape = model.num_classes, stored_shape(path, "classifier.weight")
    model.reset_classifier(shape[0] if shape else 0)
    try:
        load_weights(model, path)
    except ValueError as error:
        if "does not fit" not in str(error):
            raise
        reason = str(error).partition(" Create the model")[0]
        raise ValueError(
            f"task.init: {reason} Set model and model_options as they were trained, and data.mean and data.std to one "
            "number each for grey pictures."
        ) from error
    model.reset_classifier(num_classes)
