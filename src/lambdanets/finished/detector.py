"""A finished detector brought back to life: its config, its task with the data, its network, what it finds.

Letters: n detections of a picture, y rows and x columns of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor

from lambdanets.data.coco import CocoConfig
from lambdanets.data.images import read_image
from lambdanets.detection.task import DetectionConfig, DetectionTask, build_detector
from lambdanets.finished.stored import StoredRun, open_run
from lambdanets.models import load_weights
from lambdanets.training.config import Config
from lambdanets.training.distributed import ALONE
from lambdanets.training.folder import RunFolder
from lambdanets.training.journal import Record


@dataclass(frozen=True, kw_only=True)
class FinishedDetector:
    """What `lambdanets train` left of a detector in a folder, brought back to life."""

    folder: RunFolder
    config: Config
    class_names: tuple[str, ...]
    """What the classes are called; label k is the k-th, counted from 1."""
    category_ids: tuple[int, ...]
    """The numbers that COCO's files call the classes by."""
    model: nn.Module
    """The trained detector, in eval mode."""
    result: Record
    """What its result.json says."""

    @cached_property
    def task(self) -> DetectionTask:
        """Its task with the data that it was trained on, which is looked for when this is first asked for.

        Raises:
            ValueError: the data is no longer there, or not the same.
        """
        try:
            return self._checked(self._how.build(self.config, ALONE))
        except ValueError as error:
            raise ValueError(f"{error} If the run's pictures are elsewhere now, name them: --data PATH.") from error

    def task_on(self, data: Path | str) -> DetectionTask:
        """Its task on another COCO folder, judged on its split val, or test.

        Raises:
            ValueError: it is no such folder, or has other classes, or the run was not trained on one.
        """
        if not isinstance(self.config.data, CocoConfig):
            raise ValueError(
                f"--data: {self.folder.path} is a run of '{self.config.recipe}', which is judged on its own data: "
                "leave --data out."
            )
        elsewhere = replace(self.config.data, path=str(data))
        return self._checked(self._how.build_on(elsewhere.load_judged(), self.config, ALONE))

    def read(self, path: Path | str) -> Image.Image:
        """The picture in an image file; ImageError for a file that gives none."""
        return read_image(Path(path))

    @torch.no_grad()
    def find(self, pictures: Sequence[Image.Image]) -> list[dict[str, Tensor]]:
        """Of each picture its detections, the surest first.

        boxes (n, 4) are x0 y0 x1 y1 in its pixels, labels (n,), scores (n,) 0…1, masks (n, 1, y, x) 0…1.
        """
        device = self.config.device
        pixels = [pil_to_tensor(picture.convert("RGB")).float().div_(255).to(device) for picture in pictures]
        return [{name: part.cpu() for name, part in found.items()} for found in self.model(pixels)]

    @property
    def _how(self) -> DetectionConfig:
        assert isinstance(self.config.task, DetectionConfig)
        return self.config.task

    def _checked(self, task: DetectionTask) -> DetectionTask:
        """The task, if its classes are the run's."""
        if task.class_names != self.class_names:
            raise ValueError(
                f"the data has other classes than {self.folder.path} learned to find: put it back as it was, or judge "
                "the run on other data with --data PATH."
            )
        return task


def load_detector(path: Path | str, device: str | None = None) -> FinishedDetector:
    """The detector that `lambdanets train` left in a folder; nothing is written, and its data need not be there.

    Sets the number of CPU threads to the run's, so that it gives its bits. `device` is where the network shall be; by
    default where it was trained.

    Raises:
        ValueError: the folder is no run, not a finished one, of another version, damaged, or no detector's.
    """
    return as_detector(open_run(path, device))


def as_detector(stored: StoredRun) -> FinishedDetector:
    """The detector of a run; ValueError for a run of another kind."""
    config, folder, names = stored.config, stored.folder, stored.class_names
    if not isinstance(config.task, DetectionConfig):
        raise ValueError(f"{folder.path} is a run of '{config.recipe}', which does not detect objects.")
    model = build_detector(config, config.task.detector, len(names)).to(config.device)
    load_weights(model, folder.weights)
    return FinishedDetector(
        folder=folder,
        config=config,
        class_names=names,
        category_ids=stored.category_ids,
        model=model.eval(),
        result=stored.result,
    )


def is_detector(stored: StoredRun) -> bool:
    """Whether a run is a detector's."""
    return isinstance(stored.config.task, DetectionConfig)
