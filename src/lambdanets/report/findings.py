"""Everything a report says, computed once from a finished network; pages and pictures only show it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import nn

from lambdanets.data.digits import DigitsConfig
from lambdanets.layers import PositionTable
from lambdanets.report.ablation import without_positions
from lambdanets.report.baselines import BASELINES, ImagesInMemory
from lambdanets.report.inside import Look, look_inside
from lambdanets.report.interval import wilson_interval
from lambdanets.report.judgement import Judgement, judge
from lambdanets.report.picture import as_picture, as_seen
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
    zeroed: Score | None
    """The same network with its position tables zeroed; None for one without."""
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
        return list(self.task.class_names)

    @property
    def are_digits(self) -> bool:
        """Whether the images are the scanned digits, of which more is known than of any other data."""
        return isinstance(self.task.config.data, DigitsConfig)

    def pictures(self, indices: Sequence[int]) -> list[Image.Image]:
        """Images of the split as the network is given them."""
        if not indices:
            return []
        images = self.task.judged.plain(np.array(indices, dtype=np.int64)).images
        seen = as_seen(images, self.task.config.data.preprocess)
        return [as_picture(image, is_ink=self.are_digits) for image in seen]


def find_out(task: ClassificationTask, model: nn.Module) -> Findings:
    """Judge the model, the model without positions and the plain methods, and look inside."""
    judgement = judge(task, model)
    right = judgement.right.nonzero()[:, 0].tolist()
    looked_at = right[0] if right else 0
    image = task.judged.plain(np.array([looked_at])).images
    return Findings(
        task=task,
        judgement=judgement,
        zeroed=_zeroed(task, model),
        baselines=_baselines(task),
        looked_at=looked_at,
        look=look_inside(model, task.as_input(image)),
    )


def _zeroed(task: ClassificationTask, model: nn.Module) -> Score | None:
    if not any(isinstance(module, PositionTable) for module in model.modules()):
        return None
    judgement = judge(task, without_positions(model))
    return Score(name="without its position tables", correct=judgement.correct, total=judgement.total)


def _baselines(task: ClassificationTask) -> tuple[Score, ...]:
    train, judged = task.train, task.judged
    if not (isinstance(train, ImagesInMemory) and isinstance(judged, ImagesInMemory)):
        return ()
    return tuple(Score(name=n, correct=count(train, judged), total=len(task.judged)) for n, count in BASELINES.items())
