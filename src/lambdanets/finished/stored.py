"""What the folder of a finished run says of it: everything but its network, which depends on the kind of task."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import nn

from lambdanets import __version__
from lambdanets.models.weights import load_weights, stored_shape
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.config import Config
from lambdanets.training.distributed import ALONE
from lambdanets.training.folder import RunFolder, read_config
from lambdanets.training.journal import Record
from lambdanets.training.override import from_json
from lambdanets.training.run import check_device, read_result


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A finished run as its folder describes it."""

    folder: RunFolder
    config: Config
    """What it was trained by, but for the device, which is the one that was asked for."""
    class_names: tuple[str, ...]
    """What the classes are called, in the order of the labels."""
    category_ids: tuple[int, ...]
    """The numbers that COCO's files call them by."""
    result: Record
    """What its result.json says."""


def open_run(path: Path | str, device: str | None = None) -> StoredRun:
    """The run that `lambdanets train` left in a folder; nothing is written.

    Sets the number of CPU threads to the run's, so that it gives its bits.

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
    names, numbers = _classes(folder)
    return StoredRun(folder=folder, config=config, class_names=names, category_ids=numbers, result=result)


def own_task(config: Config, class_names: tuple[str, ...], path: Path) -> Any:
    """The task of the run at a path, with the data that it was trained on.

    Raises:
        ValueError: the data is no longer there, or has other classes.
    """
    try:
        task: Any = config.task.build(config, ALONE)
    except ValueError as error:
        raise ValueError(f"{error} If the run's pictures are elsewhere now, name them: --data PATH.") from error
    if task.class_names != class_names:
        raise ValueError(
            f"the data of {path} has other classes than when it was trained: put it back as it was, or judge the run "
            "on other data with --data PATH."
        )
    return task


def with_weights(model: nn.Module, folder: RunFolder) -> nn.Module:
    """The network of a finished run: the model, with what was learned, in eval mode."""
    load_weights(model, folder.weights)
    return model.eval()


def _classes(folder: RunFolder) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and numbers of the classes.

    Where the run keeps names alone, they are counted from 1; where it keeps none, there are as many as its weights tell
    apart.
    """
    if not folder.classes.exists():
        shape = stored_shape(folder.weights, "classifier.weight") if folder.weights.is_file() else None
        kept: Any = [str(number) for number in range(shape[0] if shape else 0)]
    else:
        try:
            kept = json.loads(folder.classes.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder.classes} cannot be read ({error}): put it back as it was.") from error
    kept = kept if isinstance(kept, list) else [kept]
    named = [one if isinstance(one, dict) else {"id": place, "name": one} for place, one in enumerate(kept, 1)]
    if not all(type(one.get("id")) is int and type(one.get("name")) is str for one in named):
        raise ValueError(f"{folder.classes}: wanted a list of names, or of ids and names: put it back as it was.")
    return tuple(one["name"] for one in named), tuple(one["id"] for one in named)


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
