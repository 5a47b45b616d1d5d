"""What a network says of every image of a split, kept so that all pages and pictures speak of the same.

Letters: n images, c classes, y rows and x columns of pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from lambdanets.report.interval import wilson_interval
from lambdanets.training.classification import ClassificationTask


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Probabilities and truth for every image of the split that a run is judged on."""

    probabilities: Float[Tensor, "n c"]
    labels: Int[Tensor, " n"]

    @property
    def predictions(self) -> Int[Tensor, " n"]:
        """The likeliest class of each image."""
        return self.probabilities.argmax(1)

    @property
    def total(self) -> int:
        """Images judged."""
        return len(self.labels)

    @property
    def correct(self) -> int:
        """Images whose likeliest class is the true one."""
        return int((self.predictions == self.labels).sum())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return wilson_interval(self.correct, self.total)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts by (true class, likeliest class)."""
        classes = self.probabilities.shape[1]
        pairs = (self.labels * classes + self.predictions).bincount(minlength=classes**2)
        return pairs.reshape(classes, classes).numpy()

    @property
    def mistakes(self) -> list[int]:
        """Images judged wrongly, those first whose true class was given the least."""
        wrong = (self.predictions != self.labels).nonzero()[:, 0]
        given = self.probabilities[wrong, self.labels[wrong]]
        return wrong[given.argsort(stable=True)].tolist()


@torch.no_grad()
def judge(task: ClassificationTask, model: nn.Module) -> Judgement:
    """What the model says of the images on which its run is judged; the model is left in the mode it was in."""
    was_training = model.training
    model.eval()
    chunks = np.array_split(np.arange(len(task.judged)), -(-len(task.judged) // task.config.batch_size))
    probabilities, labels = [], []
    for indices in chunks:
        batch = task.judged.plain(indices)
        probabilities.append(task.logits(model, batch.images).softmax(1).cpu())
        labels.append(batch.labels)
    model.train(was_training)
    return Judgement(probabilities=torch.cat(probabilities), labels=torch.cat(labels))
