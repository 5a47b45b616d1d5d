"""A finished run brought back to life: its config, its task with the data, its trained network, its way of seeing.

Letters: b batch, y rows and x columns of pixels.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from lambdanets import __version__
from lambdanets.data.digits import DigitsConfig
from lambdanets.data.images import read_image
from lambdanets.data.scan import ENOUGH_SIDE, digit_inputs
from lambdanets.models import load_weights
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.classification import ClassificationTask
from lambdanets.training.config import Config
from lambdanets.training.distributed import ALONE
from lambdanets.training.folder import RunFolder, read_config
from lambdanets.training.journal import Record
from lambdanets.training.override import from_json
from lambdanets.training.run import check_device, read_result


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """What `lambdanets train` left in a folder, brought back to life."""

    folder: RunFolder
    config: Config
    task: ClassificationTask
    model: nn.Module
    """The trained network, in eval mode."""
    result: Record
    """What its result.json says."""

    def read(self, path: Path | str) -> Image.Image:
        """The picture in an image file, as large as `inputs` can use it; ImageError for a file that gives none."""
        return read_image(Path(path), enough=ENOUGH_SIDE)

    def inputs(self, pictures: Sequence[Image.Image]) -> Float[Tensor, "b c y x"]:
        """What the network is to be given for these pictures, on its device: they go the way of its training images.

        Raises:
            ValueError: the run was trained on data for which no such way is known.
        """
        if not isinstance(self.config.data, DigitsConfig):
            raise ValueError(f"{self.folder.path} is a run of '{self.config.recipe}', which reads no pictures yet.")
        return digit_inputs(pictures, self.config.data).to(self.config.device)


def load_run(path: Path | str, device: str | None = None) -> FinishedRun:
    """The run that `lambdanets train` left in a folder; nothing is written.

    Sets the number of CPU threads to the run's, so that it gives its bits. `device` is where the network shall be; by
    default where it was trained.

    Raises:
        ValueError: the folder is no run, not a finished one, of another version, or damaged.
    """
    path = Path(path)
    folder = RunFolder(path)
    if not path.is_dir():
        raise ValueError(f"{path} is {'not a folder' if path.exists() else 'not there'}: give the folder of a run.")
    if not folder.config.is_file():
        raise ValueError(f"{path} is not a run: it has no config.json; make one with lambdanets train --out {path}.")
    config = _config_of(folder)
    config = replace(config, device=device or config.device)
    result = _result_of(folder, config)
    check_device(config.device)
    torch.set_num_threads(config.num_threads)
    task = config.task.build(config, ALONE)
    if not isinstance(task, ClassificationTask):
        raise ValueError(f"{path} is a run of '{config.recipe}', which does not classify images.")
    model = task.build_model()
    load_weights(model, folder.weights)
    return FinishedRun(folder=folder, config=config, task=task, model=model.eval(), result=result)


def _config_of(folder: RunFolder) -> Config:
    stored = read_config(folder)
    try:
        return from_json(find_recipe(str(stored.get("recipe"))), stored)
    except ValueError as error:
        reason = shorten(str(error), 120, placeholder=" …")  # not the list of all fields that would be right
        version = _version_of(folder)
        if version == __version__:
            raise ValueError(f"{folder.config}: {reason} Put it back as it was.") from error
        raise ValueError(f"{folder.path} is a run of lambdanets {version}, this is {__version__}: {reason}") from error


def _result_of(folder: RunFolder, config: Config) -> Record:
    result = read_result(folder)
    if result is None:
        raise ValueError(
            f"{folder.path} is not finished: go on with lambdanets train {config.recipe} --out {folder.path} --resume"
        )
    return result


def _version_of(folder: RunFolder) -> Any:
    try:
        return json.loads(folder.environment.read_text(encoding="utf-8"))["lambdanets"]
    except (OSError, ValueError, KeyError, TypeError):
        return "of an unknown version"
