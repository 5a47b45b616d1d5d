"""The digit scenes as a folder in COCO's form, such as anybody's tools read: annotations/instances_SPLIT.json + PNG."""

import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from lambdanets.data.digit_scenes import SceneConfig, Scenes, SceneSplit
from lambdanets.data.finding import DataError
from lambdanets.data.masks import decode_segmentation, rectangles
from lambdanets.whole_file import writing

Outlines = Literal["rle", "polygons"]
"""How masks are written: as compressed run lengths, or as polygons. Both become the same pixels again."""


def write_scenes(config: SceneConfig, folder: Path, outlines: Outlines = "rle") -> dict[str, int]:
    """How many scenes each split got: train and val, which is what COCO calls the pictures to judge by.

    Where training forms are held out, those are val, and the others are test. All is written under another name first:
    what is there is whole.

    Raises:
        DataError: a ValueError: there is something already.
        NotWrittenError: the folder cannot be written; nothing is left.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not an empty folder: give another name, or remove it first.")
    return _write(config.load(), folder, outlines)


def keep_scenes(scenes: Scenes, folder: Path) -> None:
    """Write the scenes unless there are some already; errors as `write_scenes`."""
    if (folder / "annotations" / "instances_train.json").is_file():
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there and holds no scenes: give another data.folder, or remove it first.")
    _write(scenes, folder, "rle")


def _write(scenes: Scenes, folder: Path, outlines: Outlines) -> dict[str, int]:
    draft = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    named = {"train": scenes.train, "val": scenes.validation or scenes.test}
    if scenes.validation is not None:
        named["test"] = scenes.test
    try:
        with writing(folder):
            (draft / "annotations").mkdir(parents=True)
            for name, split in named.items():
                _write_split(split, draft, name, outlines)
            os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return {name: len(split) for name, split in named.items()}


def _write_split(split: SceneSplit, folder: Path, name: str, outlines: Outlines) -> None:
    (folder / name).mkdir()
    for index, pixels in enumerate(split.images.permute(0, 2, 3, 1).numpy()):
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / name / split.name(index))
    truth = split.truth()
    if outlines == "polygons":
        side = split.images.shape[-1]
        truth["annotations"] = [_as_polygons(annotation, side) for annotation in truth["annotations"]]
    (folder / "annotations" / f"instances_{name}.json").write_text(json.dumps(truth))


def _as_polygons(annotation: dict[str, Any], side: int) -> dict[str, Any]:
    return annotation | {"segmentation": rectangles(decode_segmentation(annotation["segmentation"], side, side))}
