"""A finished detector brought back to life: its config, its task with the data, its network, what it finds.

Letters: n detections of a picture, y rows and x columns of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from PIL import Image
from torch import Tensor, nn

from lambdanets.data.coco import CocoConfig
from lambdanets.data.images import read_image, to_tensor
from lambdanets.detection.task import DetectionConfig, DetectionTask, build_detector, outputs_of
from lambdanets.finished.stored import StoredRun, open_run, own_task, with_weights
from lambdanets.training.config import Config
from lambdanets.training.distributed import ALONE
from lambdanets.training.folder import RunFolder
from lambdanets.training.journal import Record
from lambdanets.training.workplace import Workplace


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
        task = own_task(self.config, self.class_names, self.folder.path)
        assert isinstance(task, DetectionTask)
        return task

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
        assert isinstance(self.config.task, DetectionConfig)
        elsewhere = replace(self.config.data, path=str(data))
        task = self.config.task.build_on(elsewhere.load_judged(), self.config, ALONE)
        if task.class_names != self.class_names:
            raise ValueError(
                f"--data: {data} has other classes than {self.folder.path} learned to find: name data with the same."
            )
        return task

    def read(self, path: Path | str) -> Image.Image:
        """The picture in an image file; ImageError for a file that gives none."""
        data = self.config.data
        limit = {"max_pixels": data.max_pixels} if isinstance(data, CocoConfig) else {}
        return read_image(Path(path), **limit)

    def find(self, pictures: Sequence[Image.Image]) -> list[dict[str, Tensor]]:
        """Of each picture its detections, the surest first.

        boxes (n, 4) are x0 y0 x1 y1 in its pixels, labels (n,), scores (n,) 0…1, masks (n, 1, y, x) 0…1.
        """
        pixels = [to_tensor(picture.convert("RGB")) for picture in pictures]
        return outputs_of(self.model, pixels, Workplace(config=self.config, ranks=ALONE))


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
    detector = build_detector(config, config.task.detector, len(names))
    model = Workplace(config=config, ranks=ALONE).ready(detector)
    return FinishedDetector(
        folder=folder,
        config=config,
        class_names=names,
        category_ids=stored.category_ids,
        model=with_weights(model, folder),
        result=stored.result,
    )


def is_detector(stored: StoredRun) -> bool:
    """Whether a run is a detector's."""
    return isinstance(stored.config.task, DetectionConfig)
