"""Detection as a task for the training loop: torchvision's Mask R-CNN losses, judged by COCO's average precision.

Several processes learn exactly what one does: every loss is a mean over what was sampled on all of them, and what is
sampled of a picture depends on the picture and the step alone.

Letters: b batch.
"""

import warnings
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from lambdanets.data.counter import Purpose, random_seed
from lambdanets.data.detection_batch import DetectionBatch
from lambdanets.detection.backbone import begin_from
from lambdanets.detection.detector import Detector, build_body
from lambdanets.detection.evaluation import to_coco_results
from lambdanets.detection.options import DetectorOptions
from lambdanets.detection.precision import Precision, precision_of
from lambdanets.detection.sampling import NOTHING
from lambdanets.training.distributed import Ranks
from lambdanets.training.task import Split
from lambdanets.training.workplace import Workplace, judged_of, network_options

if TYPE_CHECKING:
    from lambdanets.data.coco import CocoSplit
    from lambdanets.training.config import Config


@dataclass(frozen=True, kw_only=True)
class DetectionConfig:
    """Which detector is taught, and what its backbone begins from."""

    init: str = ""
    """Where the backbone's trained weights are: the folder of a finished classification run, or a .safetensors file;
    nothing: they are drawn. Read when the run begins and when it is resumed; the finished run does without."""
    detector: DetectorOptions = field(default_factory=DetectorOptions)

    def build(self, config: "Config", ranks: Ranks) -> "DetectionTask":
        """The task of a whole config; its data must load as splits `train`, `validation` (or None) and `test`.

        What the data leaves out because it is bad is told in a warning.

        Raises:
            ValueError: the data cannot be learned from, or the detector is to be compiled.
        """
        if config.precision.compile:
            raise ValueError("precision.compile: torch.compile does not know how to compile a detector: leave it out.")
        return self.build_on(config.data.load(), config, ranks)

    def build_on(self, data: Any, config: "Config", ranks: Ranks) -> "DetectionTask":
        """The same on data that is loaded already, perhaps other data than the config's."""
        for note in getattr(data, "notes", ()) if ranks.is_first else ():
            warnings.warn(note, stacklevel=2)
        judged, split = judged_of(data)
        return DetectionTask(
            train=data.train,
            judged=judged,
            split=split,
            config=config,
            ranks=ranks,
            options=self.detector,
            init=self.init,
        )


@dataclass(frozen=True, kw_only=True)
class DetectionTask:
    """Pictures with objects, a detector of them, its five losses, average precision."""

    train: "CocoSplit"
    judged: "CocoSplit"
    split: Split
    config: "Config"
    ranks: Ranks
    options: DetectorOptions
    init: str = ""
    """What the backbone begins from; nothing: the weights that are drawn."""

    @property
    def score(self) -> str:
        """What a better detector has more of."""
        return "box_ap"

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called; label k is the k-th, counted from 1."""
        return self.train.classes

    @property
    def categories(self) -> list[dict[str, Any]]:
        """The classes with the numbers that COCO's files call them by."""
        pairs = zip(self.train.category_ids, self.train.classes, strict=True)
        return [{"id": number, "name": name} for number, name in pairs]

    @property
    def num_samples(self) -> int:
        """Training pictures in one epoch."""
        return len(self.train)

    @property
    def workplace(self) -> Workplace:
        """Where this process works."""
        return Workplace(config=self.config, ranks=self.ranks)

    def build_model(self) -> nn.Module:
        """The config's detector, initialised from the config's seed, on the config's device.

        Raises:
            ValueError: the backbone or an option does not exist, or there is nothing to begin from.
        """
        torch.manual_seed(random_seed(Purpose.INIT, self.config.seed))
        model = build_detector(self.config, self.options, self.train.num_classes)
        if self.init:
            begin_from(model.backbone, self.init)
        return self.workplace.ready(model)

    def example(self) -> DetectionBatch:
        """The first two training pictures, as the first epoch varies them."""
        batch = self.train.augmented(np.arange(2), np.zeros(2, dtype=np.int64), self.config.seed)
        return self._given(batch, step=0)

    def batches(
        self, first_step: int, stopped: Callable[[], bool] = lambda: False
    ) -> Generator[DetectionBatch, None, None]:
        """This process's share of the varied pictures of step first_step, first_step + 1, …, without end."""
        with closing(self.workplace.shares.training(self.train, self.config.seed, first_step, stopped)) as batches:
            for step, batch in enumerate(batches, first_step):
                yield self._given(batch, step)

    def parts(self, batch: DetectionBatch, count: int) -> list[DetectionBatch]:
        """The batch cut into `count` parts of about the same size."""
        cut = [list(places) for places in np.array_split(np.arange(self.size(batch)), count)]
        return [
            DetectionBatch([batch.images[i] for i in part], [batch.targets[i] for i in part], batch.weights[part])
            for part in cut
        ]

    def size(self, part: DetectionBatch) -> int:
        """Pictures of a part."""
        return len(part.images)

    def notes(self, batch: DetectionBatch) -> tuple[str, ...]:
        """What could not be read of a batch."""
        return batch.notes

    def loss(self, model: nn.Module, part: DetectionBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """(the sum of the five losses, {each of them, share of the pictures that could not be read}).

        Each loss is the mean over what was sampled of the pictures that all processes look at just now: a process with
        more of it counts more. What could not be read adds nothing.
        """
        with self.workplace.computing():
            losses = model(part.images, part.targets)
        detector = getattr(model, "module", model)  # within what averages the gradients
        assert isinstance(detector, Detector)
        counts = detector.num_learned_from()
        own = torch.tensor([counts[name] for name in losses] + [self.size(part)], dtype=torch.float64)
        *shares, share = (own / self.ranks.sum(own.clone()).clamp(min=1)).tolist()
        means = {
            name: loss * (mine / share) if mine else _nothing(model)
            for (name, loss), mine in zip(losses.items(), shares, strict=True)
        }
        unreadable = (part.weights == 0).float().mean()
        told = {name: loss.detach() for name, loss in means.items()} | {"unreadable": unreadable}
        return torch.stack(list(means.values())).sum(), told

    def evaluate(self, model: nn.Module) -> Precision:
        """How well the model finds what is in the judged pictures.

        Every picture is looked at once, by one of the processes. One that cannot be read has no detections.
        """
        gathered = self.ranks.gathered(self.detect(model))
        results = [result for found, _ in gathered for result in found]
        notes = tuple(note for _, told in gathered for note in told)
        return self.ranks.from_first(lambda: precision_of(self.judged.truth(), results, len(self.judged), notes))

    @torch.no_grad()
    def detect(self, model: nn.Module) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        """What the model finds in this process's share of the judged pictures, as COCO writes it; what is unread."""
        was_training = model.training
        results: list[dict[str, Any]] = []
        notes: tuple[str, ...] = ()
        model.eval()
        for batch in self.workplace.shares.judging(self.judged):
            read = [place for place, weight in enumerate(batch.weights.tolist()) if weight > 0]
            notes += batch.notes
            if read:
                said = self.outputs(model, [batch.images[place] for place in read])
                results += to_coco_results(said, [batch.targets[place] for place in read], self.judged.category_ids)
        model.train(was_training)
        return results, notes

    def outputs(self, model: nn.Module, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """What the model says of pictures (3, y, x): of each boxes, labels, scores and masks, on the CPU."""
        return outputs_of(model, images, self.workplace)

    def _given(self, batch: DetectionBatch, step: int) -> DetectionBatch:
        """The batch as the detector wants it: on the device, without crowds, each picture with its chance."""
        dtype, given = self.workplace.dtype, batch.to(self.workplace.device)
        targets = []
        for target, before, weight in zip(given.targets, batch.targets, batch.weights.tolist(), strict=True):
            place = (Purpose.PROPOSALS, self.config.seed, step, int(before["image_id"]))
            alone = target["iscrowd"] == 0
            learned = {name: target[name][alone] for name in ("boxes", "labels", "masks")}
            learned["boxes"] = learned["boxes"].to(dtype)
            targets.append(learned | {"chance": torch.tensor(random_seed(*place) if weight else NOTHING)})
        return given._replace(images=[image.to(dtype) for image in given.images], targets=targets)


def build_detector(config: "Config", options: DetectorOptions, num_classes: int) -> Detector:
    """A fresh detector of so many classes, the background not counted, on the network that the config names.

    Raises:
        ValueError: the network or one of its options does not exist, or is not for the config to choose.
    """
    body = build_body(config.model, **network_options(config))
    return Detector(body, options, num_classes=num_classes + 1)


@torch.no_grad()
def outputs_of(model: nn.Module, images: list[Tensor], workplace: Workplace) -> list[dict[str, Tensor]]:
    """What a model in eval mode says of pictures (3, y, x): of each boxes, labels, scores and masks, on the CPU."""
    with workplace.computing():
        said = model([image.to(workplace.device, workplace.dtype) for image in images])
    return [{name: part.cpu() for name, part in output.items()} for output in said]


def _nothing(model: nn.Module) -> Tensor:
    """Zero, with a gradient of zero for every weight: what averages gradients waits for each of them."""
    return torch.stack([weight.sum() for weight in model.parameters() if weight.requires_grad]).sum() * 0
