"""A finished run as the verbs need it: its config, its task with the data, its trained network."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lambdanets import __version__
from lambdanets.models import load_weights
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.classification import ClassificationTask
from lambdanets.training.config import Config
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


def open_finished(path: Path, device: str | None = None) -> FinishedRun:
    """The run in a folder; nothing is written. Sets the number of CPU threads to the run's, so that it gives its bits.

    Raises:
        ValueError: the folder is no run, not a finished one, of another version, or damaged.
    """
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
    task = config.task.build(config)
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
        raise ValueError(
            f"{folder.path} is a run of lambdanets {_version_of(folder)}, this is {__version__}: {error}"
        ) from error


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
