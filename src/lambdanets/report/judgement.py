"""What a network says of every image of a split, kept so that all pages and pictures speak of the same.

Letters: n images, c classes, y rows and x columns of pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from lambdanets.report.interval import wilson_interval
from lambdanets.training.classification import ClassificationTask
from lambdanets.training.evaluation import FIVE, calibration_error, right_within


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Probabilities and truth for every image of the split that a run is judged on, each image once.

    One that could not be read is wrong; it counts in every denominator, but for the calibration: it has no confidence.
    """

    probabilities: Float[Tensor, "n c"]
    labels: Int[Tensor, " n"]
    readable: Bool[Tensor, " n"] | None = None
    """Which images could be read; None: all."""
    notes: tuple[str, ...] = ()
    """A sentence for each image that could not be read: which, and why."""

    @property
    def predictions(self) -> Int[Tensor, " n"]:
        """The likeliest class of each image."""
        return self.probabilities.argmax(1)

    @property
    def total(self) -> int:
        """Images judged."""
        return len(self.labels)

    @property
    def right(self) -> Bool[Tensor, " n"]:
        """Which images were judged rightly."""
        return self._right_within(1)

    @property
    def correct(self) -> int:
        """Images whose likeliest class is the true one."""
        return int(self.right.sum())

    @property
    def top5_correct(self) -> int:
        """Images whose true class is among the likeliest five."""
        return int(self._right_within(FIVE).sum())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return wilson_interval(self.correct, self.total)

    @property
    def calibration_error(self) -> float:
        """How far confidence and accuracy are apart, 0…1, over the images that could be read; 15 bins."""
        readable = self._readable()
        return calibration_error(self.probabilities.amax(1)[readable], self.right[readable])

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts by (true class, likeliest class), of the images that could be read."""
        classes, readable = self.probabilities.shape[1], self._readable()
        pairs = (self.labels * classes + self.predictions)[readable].bincount(minlength=classes**2)
        return pairs.reshape(classes, classes).numpy()

    @property
    def class_totals(self) -> NDArray[np.int64]:
        """Images of each class, readable or not."""
        return self.labels.bincount(minlength=self.probabilities.shape[1]).numpy()

    @property
    def mistakes(self) -> list[int]:
        """Images judged wrongly, those first whose true class was given the least."""
        wrong = (~self.right).nonzero()[:, 0]
        given = self.probabilities[wrong, self.labels[wrong]]
        return wrong[given.argsort(stable=True)].tolist()

    def is_readable(self, index: int) -> bool:
        """Whether an image could be read."""
        return self.readable is None or bool(self.readable[index])

    def _right_within(self, k: int) -> Bool[Tensor, " n"]:
        return right_within(self.probabilities, self.labels, self._readable(), k)

    def _readable(self) -> Bool[Tensor, " n"]:
        return torch.ones_like(self.labels, dtype=torch.bool) if self.readable is None else self.readable


@torch.no_grad()
def judge(task: ClassificationTask, model: nn.Module) -> Judgement:
    """What the model says of the images on which its run is judged; the model is left in the mode it was in."""
    was_training = model.training
    model.eval()
    probabilities, labels, readable, notes = [], [], [], []
    for batch in task.judged_batches():
        # in double precision, so that no two logits become one probability
        probabilities.append(task.logits(model, batch.images).double().softmax(1).cpu())
        labels.append(batch.labels.cpu())
        readable.append(batch.weights.cpu() > 0)
        notes += batch.notes
    model.train(was_training)
    return Judgement(
        probabilities=torch.cat(probabilities),
        labels=torch.cat(labels),
        readable=torch.cat(readable),
        notes=tuple(notes),
    )
