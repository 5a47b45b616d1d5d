"""A finished classifier brought back to life: its config, its task with the data, its network, its way of seeing.

Letters: b batch, y rows and x columns of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from lambdanets.data.augment import enough_pixels, unvaried
from lambdanets.data.digits import DigitsConfig
from lambdanets.data.images import read_image
from lambdanets.data.scan import ENOUGH_SIDE, digit_inputs
from lambdanets.data.source import available_splits, open_source
from lambdanets.data.stored import StoredConfig, with_classes
from lambdanets.finished.stored import StoredRun, open_run, own_task, with_weights
from lambdanets.training.classification import ClassificationConfig, ClassificationTask
from lambdanets.training.config import Config
from lambdanets.training.distributed import ALONE
from lambdanets.training.folder import RunFolder
from lambdanets.training.journal import Record


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """What `lambdanets train` left in a folder, brought back to life."""

    folder: RunFolder
    config: Config
    class_names: tuple[str, ...]
    """What the classes are called, in the order of the logits."""
    model: nn.Module
    """The trained network, in eval mode."""
    result: Record
    """What its result.json says."""
    blank: ClassificationTask = field(repr=False)
    """Its task without any pictures."""

    @cached_property
    def task(self) -> ClassificationTask:
        """Its task with the data that it was trained on, which is looked for when this is first asked for.

        Raises:
            ValueError: the data is no longer there, or not the same.
        """
        task = own_task(self.config, self.class_names, self.folder.path)
        assert isinstance(task, ClassificationTask)
        return replace(task, begin_from=None)

    def task_on(self, data: Path | str) -> ClassificationTask:
        """Its task, judged on other pictures: their split val, or test, or all where they have no splits.

        Raises:
            ValueError: the run was not trained on pictures in files, there are none, or they have other classes.
        """
        path, config = Path(data), self._stored("--data")
        split = next((name for name in ("val", "test") if name in available_splits(path)), None)
        judged = with_classes(replace(config, path=str(path)).all_of(open_source(path, split)), self.class_names)
        return replace(self.blank, judged=judged, split="validation" if split == "val" else "test")

    def at_resolution(self, task: ClassificationTask, side: int) -> ClassificationTask:
        """One of the tasks above, its pictures seen at another size.

        Raises:
            ValueError: a size that no picture can have, or the run was not trained on pictures in files.
        """
        config = replace(self._stored("--resolutions"), image_size=side)
        return replace(task, judged=task.judged.at_size(config.image_size))  # type: ignore[attr-defined]

    def read(self, path: Path | str) -> Image.Image:
        """The picture in an image file, as large as `inputs` can use it; ImageError for a file that gives none."""
        data = self.config.data
        if isinstance(data, DigitsConfig):
            return read_image(Path(path), enough=ENOUGH_SIDE)
        limit = {"max_pixels": data.max_pixels} if isinstance(data, StoredConfig) else {}
        return read_image(Path(path), enough=enough_pixels(data.preprocess), **limit)

    def inputs(self, pictures: Sequence[Image.Image]) -> Float[Tensor, "b c y x"]:
        """What the network is to be given for these pictures, on its device: they go the way of its judged images."""
        data = self.config.data
        if isinstance(data, DigitsConfig):
            return digit_inputs(pictures, data).to(self.config.device)
        pixels = torch.stack([unvaried(picture, data.preprocess) for picture in pictures])
        return data.preprocess.normalize(pixels.float().div_(255)).to(self.config.device)

    def logits(self, inputs: Float[Tensor, "b c y x"]) -> Float[Tensor, "b classes"]:
        """What the network says of these inputs."""
        return self.blank.logits(self.model, inputs)

    def _stored(self, option: str) -> StoredConfig:
        """The data's config, if it is one of pictures in files."""
        if not isinstance(self.config.data, StoredConfig):
            raise ValueError(
                f"{option}: {self.folder.path} is a run of '{self.config.recipe}', which is judged on its own data, at "
                f"its own size: leave {option} out."
            )
        return self.config.data


def load_run(path: Path | str, device: str | None = None) -> FinishedRun:
    """The classifier that `lambdanets train` left in a folder; nothing is written, and its data need not be there.

    Sets the number of CPU threads to the run's, so that it gives its bits. `device` is where the network shall be; by
    default where it was trained.

    Raises:
        ValueError: the folder is no run, not a finished one, of another version, damaged, or no classifier's.
    """
    return as_classifier(open_run(path, device))


def as_classifier(stored: StoredRun) -> FinishedRun:
    """The classifier of a run; ValueError for a run of another kind."""
    config, folder, names = stored.config, stored.folder, stored.class_names
    if not isinstance(config.task, ClassificationConfig):
        raise ValueError(f"{folder.path} is a run of '{config.recipe}', which does not classify images.")
    nothing = _NoImages(classes=names, num_channels=config.data.preprocess.channels)
    blank = ClassificationTask(
        train=nothing, judged=nothing, split="test", config=config, ranks=ALONE, label_smoothing=0.0
    )
    return FinishedRun(
        folder=folder,
        config=config,
        class_names=names,
        model=with_weights(blank.build_model(), folder),
        result=stored.result,
        blank=blank,
    )


@dataclass(frozen=True, kw_only=True)
class _NoImages:
    """A split without images, of which only classes and channels are known."""

    classes: tuple[str, ...]
    num_channels: int

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def __len__(self) -> int:
        return 0

    def plain(self, indices: NDArray[np.int64]) -> NoReturn:
        """Nothing can be asked of it."""
        raise IndexError("a split without images was asked for some")

    def augmented(self, indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int) -> NoReturn:
        """Nothing either."""
        self.plain(indices)
