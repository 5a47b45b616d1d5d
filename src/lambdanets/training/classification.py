"""Classification as a task: cross entropy with label smoothing, judged by accuracy, on any data with labelled images.

Letters: b batch, c channels, y rows and x columns of pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lambdanets.data.batch import LabelledBatch
from lambdanets.data.counter import Purpose, random_seed
from lambdanets.data.order import samples_at
from lambdanets.models import create_model
from lambdanets.training.task import Split

if TYPE_CHECKING:
    from lambdanets.training.config import Config


class LabelledImages(Protocol):
    """One split of a data set, as this task wants it."""

    @property
    def num_classes(self) -> int:
        """Number of classes; labels are 0 … num_classes − 1."""
        ...

    @property
    def num_channels(self) -> int:
        """Channels of an image."""
        ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def plain(self, indices: NDArray[np.int64]) -> LabelledBatch:
        """These images as they are."""
        ...

    def augmented(self, indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int) -> LabelledBatch:
        """These images, varied by a chance that is a pure function of (seed, epoch, index)."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClassificationConfig:
    """How a classifier is taught."""

    label_smoothing: float = 0.1
    """Share of the target that is spread over all classes, in [0, 1)."""

    def __post_init__(self) -> None:
        """Refuse a smoothing that leaves no label."""
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"task.label_smoothing: got {self.label_smoothing}, wanted a number in [0, 1).")

    def build(self, config: "Config") -> "ClassificationTask":
        """The task of a whole config; its data must load as splits `train`, `validation` (or None) and `test`."""
        data = config.data.load()
        return ClassificationTask(
            train=data.train,
            judged=data.test if data.validation is None else data.validation,
            split="test" if data.validation is None else "validation",
            config=config,
            label_smoothing=self.label_smoothing,
        )


@dataclass(frozen=True, kw_only=True)
class ClassificationTask:
    """Labelled images, a network of the right size for them, cross entropy, accuracy."""

    train: LabelledImages
    judged: LabelledImages
    split: Split
    config: "Config"
    label_smoothing: float

    @property
    def num_samples(self) -> int:
        """Training images in one epoch."""
        return len(self.train)

    def build_model(self) -> nn.Module:
        """The config's network, initialised from the config's seed, on the config's device.

        Raises:
            ValueError: the model or one of its options does not exist, or is not for the config to choose.
        """
        for name in ("num_classes", "in_chans"):
            if name in self.config.model_options:
                raise ValueError(f"model_options.{name} cannot be set: the data decides it. Leave it out.")
        torch.manual_seed(random_seed(Purpose.INIT, self.config.seed))
        model = create_model(
            self.config.model,
            num_classes=self.train.num_classes,
            in_chans=self.train.num_channels,
            **self.config.model_options,
        )
        return model.to(self.config.device)

    def batches(self, first_step: int) -> Iterator[LabelledBatch]:
        """Augmented images and labels of step first_step, first_step + 1, …, without end."""
        size, seed = self.config.batch_size, self.config.seed
        step = first_step
        while True:
            epochs, indices = samples_at(step * size, size, self.num_samples, seed)
            yield self.train.augmented(indices, epochs, seed).to(self.config.device)
            step += 1

    def loss(self, model: nn.Module, batch: LabelledBatch) -> tuple[Tensor, dict[str, float]]:
        """(mean cross entropy of the batch, its accuracy in 0…1)."""
        logits, labels = model(batch.images), batch.labels
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        return loss, {"accuracy": float((logits.argmax(1) == labels).float().mean())}

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Accuracy in 0…1, mean cross entropy without smoothing, images and how many of them were right."""
        was_training = model.training
        model.eval()
        correct, loss = 0, 0.0
        for indices in np.array_split(np.arange(len(self.judged)), -(-len(self.judged) // self.config.batch_size)):
            batch = self.judged.plain(indices).to(self.config.device)
            logits, labels = model(batch.images), batch.labels
            correct += int((logits.argmax(1) == labels).sum())
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
        model.train(was_training)
        images = len(self.judged)
        return {"accuracy": correct / images, "loss": loss / images, "correct": correct, "images": images}
