"""Everything a report says, computed once from a finished network; pages and pictures only show it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from lambdanets.report.ablation import without_positions
from lambdanets.report.baselines import BASELINES, StoredImages
from lambdanets.report.inside import Look, look_inside
from lambdanets.report.interval import wilson_interval
from lambdanets.report.judgement import Judgement, judge
from lambdanets.report.picture import as_seen
from lambdanets.training.classification import ClassificationTask


@dataclass(frozen=True, kw_only=True)
class Score:
    """How many of the judged images one method gets right."""

    name: str
    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """The share that is right, 0…1."""
        return self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval."""
        return wilson_interval(self.correct, self.total)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What is known of a finished network."""

    task: ClassificationTask
    judgement: Judgement
    zeroed: Score
    """The same network with its position tables zeroed."""
    baselines: tuple[Score, ...]
    """Plain methods on the same split; none where the images are not in memory."""
    looked_at: int
    """Index of the image that is looked into."""
    look: Look | None

    @property
    def own(self) -> Score:
        """The network's score."""
        return Score(name=self.task.config.model, correct=self.judgement.correct, total=self.judgement.total)

    @property
    def class_names(self) -> list[str]:
        """What the classes are called."""
        return [str(label) for label in range(self.judgement.probabilities.shape[1])]

    def pictures(self, indices: Sequence[int]) -> Float[Tensor, "b c y x"]:
        """Images of the split as the network is given them, pixels in 0…1."""
        images = self.task.judged.plain(np.array(indices, dtype=np.int64)).images
        return as_seen(images, self.task.config.data.preprocess)


def find_out(task: ClassificationTask, model: nn.Module) -> Findings:
    """Judge the model, the model without positions and the plain methods, and look inside."""
    judgement = judge(task, model)
    zeroed = judge(task, without_positions(model))
    right = (judgement.predictions == judgement.labels).nonzero()[:, 0].tolist()
    looked_at = right[0] if right else 0
    image = task.judged.plain(np.array([looked_at])).images
    return Findings(
        task=task,
        judgement=judgement,
        zeroed=Score(name="without its position tables", correct=zeroed.correct, total=zeroed.total),
        baselines=_baselines(task),
        looked_at=looked_at,
        look=look_inside(model, task.as_input(image)),
    )


def _baselines(task: ClassificationTask) -> tuple[Score, ...]:
    train, judged = task.train, task.judged
    if not (isinstance(train, StoredImages) and isinstance(judged, StoredImages)):
        return ()
    return tuple(Score(name=n, correct=count(train, judged), total=len(task.judged)) for n, count in BASELINES.items())
