"""Classification as a task: cross entropy with label smoothing, judged by accuracy, on any data with labelled images.

Letters: b batch, c channels, y rows and x columns of pixels.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambdanets.data.batch import LabelledBatch
from lambdanets.data.counter import Purpose, random_seed
from lambdanets.models import create_model
from lambdanets.models.network import ResNet
from lambdanets.training.distributed import Ranks
from lambdanets.training.evaluation import FIVE, right_within
from lambdanets.training.shares import LabelledImages
from lambdanets.training.task import Split
from lambdanets.training.workplace import Workplace, judged_of, network_options

if TYPE_CHECKING:
    from lambdanets.training.config import Config


@dataclass(frozen=True, kw_only=True)
class ClassificationConfig:
    """How a classifier is taught."""

    label_smoothing: float = 0.1
    """Share of the target that is spread over all classes, in [0, 1)."""

    def __post_init__(self) -> None:
        """Refuse a smoothing that leaves no label."""
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"task.label_smoothing: got {self.label_smoothing}, wanted a number in [0, 1).")

    def build(self, config: "Config", ranks: Ranks) -> "ClassificationTask":
        """The task of a whole config; its data must load as splits `train`, `validation` (or None) and `test`."""
        data = config.data.load()
        judged, split = judged_of(data)
        return ClassificationTask(
            train=data.train,
            judged=judged,
            split=split,
            config=config,
            ranks=ranks,
            label_smoothing=self.label_smoothing,
        )


@dataclass(frozen=True, kw_only=True)
class ClassificationTask:
    """Labelled images, a network of the right size for them, cross entropy, accuracy."""

    train: LabelledImages
    judged: LabelledImages
    split: Split
    config: "Config"
    ranks: Ranks
    label_smoothing: float
    begin_from: Callable[[ResNet], None] | None = None
    """Gives a fresh network the weights to begin from; None: those that are drawn."""

    @property
    def score(self) -> str:
        """What a better classifier has more of."""
        return "accuracy"

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called, in the order of the labels; their numbers where the data gives no names."""
        return tuple(getattr(self.train, "classes", ())) or tuple(str(n) for n in range(self.train.num_classes))

    @property
    def num_samples(self) -> int:
        """Training images in one epoch."""
        return len(self.train)

    @property
    def workplace(self) -> Workplace:
        """Where this process works."""
        return Workplace(config=self.config, ranks=self.ranks)

    def build_model(self) -> nn.Module:
        """The config's network, initialised from the config's seed, on the config's device.

        Raises:
            ValueError: the model or one of its options does not exist, or is not for the config to choose.
        """
        options = network_options(self.config)
        torch.manual_seed(random_seed(Purpose.INIT, self.config.seed))
        model = create_model(
            self.config.model, num_classes=self.train.num_classes, in_chans=self.train.num_channels, **options
        )
        if self.begin_from is not None:
            self.begin_from(model)
        return self.workplace.ready(model)

    def example(self) -> LabelledBatch:
        """The first two training images, as the first epoch varies them."""
        return self._to_device(self.train.augmented(np.arange(2), np.zeros(2, dtype=np.int64), self.config.seed))

    def batches(
        self, first_step: int, stopped: Callable[[], bool] = lambda: False
    ) -> Generator[LabelledBatch, None, None]:
        """This process's share of the augmented samples of step first_step, first_step + 1, …, without end."""
        with closing(self.workplace.shares.training(self.train, self.config.seed, first_step, stopped)) as batches:
            yield from map(self._to_device, batches)

    def parts(self, batch: LabelledBatch, count: int) -> list[LabelledBatch]:
        """The batch cut into `count` parts of about the same size."""
        cut = (tensor.tensor_split(count) for tensor in (batch.images, batch.labels, batch.weights))
        return [LabelledBatch(*part) for part in zip(*cut, strict=True)]

    def size(self, part: LabelledBatch) -> int:
        """Samples of a part."""
        return len(part.images)

    def notes(self, batch: LabelledBatch) -> tuple[str, ...]:
        """What could not be read of a batch."""
        return batch.notes

    def loss(self, model: nn.Module, part: LabelledBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """(mean cross entropy, {accuracy in 0…1, share that could not be read}); what could not be read counts as 0."""
        logits, labels = self.logits(model, part.images), part.labels
        labels = labels.to(logits.dtype) if labels.is_floating_point() else labels
        losses = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing, reduction="none")
        weights = part.weights.to(losses.dtype)
        read = (weights > 0).to(losses.dtype)
        right = (logits.argmax(1) == _classes(labels)) * read
        return (losses * weights).mean(), {"accuracy": right.mean(), "unreadable": 1 - read.mean()}

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Accuracy in 0…1, mean cross entropy without smoothing, counts of images.

        Counted are all, those that were right, those with their class among the likeliest five, the unreadable ones.

        Every image is judged once, by one of the processes. One that cannot be read is wrong, and without loss.
        """
        was_training = model.training
        model.eval()
        sums = torch.zeros(4, dtype=torch.float64)
        for batch in self.judged_batches():
            logits, readable = self.logits(model, batch.images), batch.weights > 0
            losses = F.cross_entropy(logits, batch.labels, reduction="none")[readable]
            right, among_five = (right_within(logits, batch.labels, readable, k).sum() for k in (1, FIVE))
            sums += torch.stack([losses.sum(), right, among_five, (~readable).sum()]).double().cpu()
        model.train(was_training)
        loss, *counts = self.ranks.sum(sums).tolist()
        images, (correct, among_five, unreadable) = len(self.judged), map(int, counts)
        return {
            "accuracy": correct / images,
            "loss": loss / images,
            "correct": correct,
            "top5_correct": among_five,
            "unreadable": unreadable,
            "images": images,
        }

    def judged_batches(self) -> Iterator[LabelledBatch]:
        """This process's share of the split that is judged, as it is."""
        return map(self._to_device, self.workplace.shares.judging(self.judged))

    def logits(self, model: nn.Module, images: Tensor) -> Tensor:
        """What the model says of images (b, c, y, x) as a split gives them: (b, classes) in fp32 or wider."""
        with self.workplace.computing():
            logits = model(self.as_input(images))
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def as_input(self, images: Tensor) -> Tensor:
        """The images where and how the network wants them: device, dtype, layout."""
        layout = torch.channels_last if self.config.precision.channels_last else torch.preserve_format
        return images.to(self.workplace.device, self.workplace.dtype, memory_format=layout)

    def _to_device(self, batch: LabelledBatch) -> LabelledBatch:
        batch = batch.to(self.workplace.device)
        return batch._replace(images=self.as_input(batch.images))


def _classes(labels: Tensor) -> Tensor:
    """The class of each label, which may be probabilities."""
    return labels if labels.ndim == 1 else labels.argmax(1)
