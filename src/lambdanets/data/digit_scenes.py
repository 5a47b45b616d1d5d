"""Scenes to learn detection from without a download: scikit-learn's digits on pieces of its two photographs.

    data = SceneConfig().load()
    batch = data.train.plain(np.arange(8))

Writers and photographs are split as well as the scenes: nobody's hand and no pixel of a photo is in training and test.
The scenes are a pure function of the config, the same to the bit on any machine (`scene_drawing` says how), but for the
decoding of the two photos, which are JPEG files. As a folder in COCO's form: `scene_folder`.

Letters: n digits of all scenes, s scenes, b batch, y rows and x columns of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from torch import Tensor

from lambdanets.data.detection_batch import DetectionBatch
from lambdanets.data.digits import TEST_FORMS, TRAIN_FORMS, DigitsConfig, load_split
from lambdanets.data.masks import encode_masks
from lambdanets.data.objects import Objects, objects_of_masks
from lambdanets.data.ranges import refuse_outside
from lambdanets.data.scene_drawing import Scene, Sizes, draw_scene
from lambdanets.data.scene_variation import SceneVariation, vary_scenes
from lambdanets.data.stored import IMAGENET_MEAN, IMAGENET_STD
from lambdanets.preprocess import Preprocess

DIGITS = tuple("0123456789")
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """How many scenes there are, what they look like, and how they are varied in training."""

    image_size: int = 96
    """Rows and columns of a scene, in pixels, 32…320."""
    num_train: int = 1000
    """Scenes to learn from, 1…100 000."""
    num_test: int = 200
    """Scenes to judge by, by other hands and on the other halves of the photos, 1…100 000."""
    num_validation: int = 200
    """Scenes to choose settings by, by the hands of `validation_forms`; made only where there are such."""
    validation_forms: tuple[int, ...] = ()
    """Training forms held out to choose settings by. With any, the run is judged on them and never sees the test. Their
    scenes lie on the training halves of the photos."""
    scene_seed: int = 0
    """Chooses the scenes, 0 or above."""
    smallest: int = 28
    """Least side of the square that a digit with its border is enlarged to, in pixels, 10 up to `largest`."""
    largest: int = 56
    """Greatest, up to two thirds of the scene's side."""
    max_digits: int = 3
    """Digits in a scene, 1 to so many; 1…20."""
    rotation: float = 15.0
    """Greatest turn of a digit in a scene, in degrees to either side, 0…90."""
    overlap: float = 0.1
    """Share of a digit that others may hide, 0…0.9."""
    clutter: int = 4
    """Bars and discs in a scene, 0 to so many; 0…100."""
    variation: SceneVariation = field(default_factory=SceneVariation)
    """How a scene is varied each time it is learned from."""
    folder: str = ""
    """Where the scenes are written too, in COCO's form, unless something is there; nowhere by default."""

    def __post_init__(self) -> None:
        """Refuse numbers outside the ranges above, and forms that are not training forms."""
        many = (1, 100_000)
        refuse_outside(self, "data", image_size=(32, 320), num_train=many, num_test=many, num_validation=many)
        refuse_outside(self, "data", scene_seed=(0, 2**63 - 1), smallest=(10, self.largest), max_digits=(1, 20))
        refuse_outside(self, "data", largest=(10, self.image_size * 2 // 3), rotation=(0, 90))
        refuse_outside(self, "data", overlap=(0, 0.9), clutter=(0, 100))
        DigitsConfig(validation_forms=self.validation_forms)  # says what is wrong with them

    @property
    def preprocess(self) -> Preprocess:
        """What a picture goes through before a network that learned from the scenes."""
        return Preprocess(size=(self.image_size, self.image_size), mean=IMAGENET_MEAN, std=IMAGENET_STD)

    @property
    def sizes(self) -> Sizes:
        """What the scenes are like."""
        digits = (self.smallest, self.largest, self.max_digits)
        return Sizes(self.image_size, *digits, self.rotation, self.overlap, self.clutter)

    def load(self) -> "Scenes":
        """The splits, in memory; about 5 ms a scene.

        Raises:
            ValueError: the folder is taken by something else.
            NotWrittenError: the folder cannot be written.
        """
        held_out = self.validation_forms
        train_forms = [form for form in TRAIN_FORMS if form not in held_out]
        scenes = Scenes(
            train=draw_split(self, "train", train_forms),
            validation=draw_split(self, "val", held_out) if held_out else None,
            test=draw_split(self, "test", TEST_FORMS),
        )
        if self.folder:
            from lambdanets.data.scene_folder import keep_scenes  # which needs this module

            keep_scenes(scenes, Path(self.folder))
        return scenes


@dataclass(frozen=True, eq=False)
class SceneSplit:
    """Some scenes, and the batches made of them. Can be sent to worker processes."""

    split: str
    """train, val or test."""
    images: UInt8[Tensor, "s 3 y x"]
    digits: Int[Tensor, " n"]
    """Which digit each is, of all scenes one behind the other."""
    masks: UInt8[Tensor, "n y x"]
    """Where each is seen."""
    ends: NDArray[np.int64]
    """(s,) the number of digits up to the end of each scene."""
    variation: SceneVariation
    classes: tuple[str, ...] = DIGITS
    """Names: label k is classes[k − 1]."""
    category_ids: tuple[int, ...] = tuple(range(1, len(DIGITS) + 1))
    """What the labels 1, 2, … are called in COCO's files."""
    num_channels: int = 3

    @property
    def num_classes(self) -> int:
        """Number of classes, the background not counted."""
        return len(self.classes)

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.images)

    def name(self, index: int) -> str:
        """What the picture of a scene is called in its split's folder."""
        return f"{index + 1:06d}.png"

    def image_id(self, index: int) -> int:
        """The number of a scene in COCO's files."""
        return index + 1

    def objects(self, index: int) -> Objects:
        """What is in a scene."""
        start, end = (int(self.ends[index - 1]) if index else 0), int(self.ends[index])
        return objects_of_masks(self.masks[start:end], self.digits[start:end] + 1)

    def plain(self, indices: NDArray[np.int64]) -> DetectionBatch:
        """These scenes as they are."""
        return self._batch(indices, list(self.images[indices].float().div(255)), self._objects(indices))

    def augmented(self, indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int) -> DetectionBatch:
        """These scenes, each varied by a chance that is a pure function of (seed, epoch, index)."""
        places = (indices, epochs, seed)
        return self._batch(indices, *vary_scenes(self.images[indices], self._objects(indices), places, self.variation))

    def truth(self) -> dict[str, Any]:
        """What is in the scenes, as the content of COCO's annotation file, masks as run lengths."""
        side = self.images.shape[-1]
        return {
            "info": {"description": "scikit-learn's digits on pieces of scikit-learn's photographs"},
            "images": [
                {"id": self.image_id(index), "file_name": self.name(index), "width": side, "height": side}
                for index in range(len(self))
            ],
            "annotations": self._annotations(),
            "categories": [
                {"id": number, "name": name} for number, name in zip(self.category_ids, self.classes, strict=True)
            ],
        }

    def _annotations(self) -> list[dict[str, Any]]:
        found = objects_of_masks(self.masks, self.digits + 1)
        of_scene = np.repeat(np.arange(len(self)), np.diff(self.ends, prepend=0))
        corners, areas = found.boxes.tolist(), found.areas.tolist()
        return [
            {
                "id": number + 1,
                "image_id": self.image_id(int(of_scene[number])),
                "category_id": self.category_ids[digit],
                "bbox": [left, top, right - left, bottom - top],
                "area": areas[number],
                "iscrowd": 0,
                "segmentation": mask,
            }
            for number, (digit, (left, top, right, bottom), mask) in enumerate(
                zip(self.digits.tolist(), corners, self._coded, strict=True)
            )
        ]

    @cached_property
    def _coded(self) -> list[dict[str, Any]]:
        return encode_masks(self.masks.numpy())

    def _objects(self, indices: NDArray[np.int64]) -> list[Objects]:
        return [self.objects(int(index)) for index in indices]

    def _batch(self, indices: NDArray[np.int64], images: list[Tensor], objects: list[Objects]) -> DetectionBatch:
        ids = [self.image_id(int(index)) for index in indices]
        targets = [found.as_target(number) for found, number in zip(objects, ids, strict=True)]
        return DetectionBatch(images, targets, torch.ones(len(indices)))


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """The scenes, split. The validation split is None unless training forms were held out."""

    train: SceneSplit
    validation: SceneSplit | None
    test: SceneSplit


def draw_split(config: SceneConfig, split: str, forms: Sequence[int]) -> SceneSplit:
    """The scenes of a split (train, val or test), with digits of these forms, by turns on either photo."""
    count = {"train": config.num_train, "val": config.num_validation, "test": config.num_test}[split]
    scanned = load_split(forms, DigitsConfig())
    scans = np.pad(scanned.images[:, 0].double().numpy(), ((0, 0), (1, 1), (1, 1)))  # or strokes at the edge are cut
    photos = photo_halves()["test" if split == "test" else "train"]
    place = (config.scene_seed, _SPLITS.index(split))
    drawn = [draw_scene(scans, photos[number % len(photos)], config.sizes, (*place, number)) for number in range(count)]
    return _packed(split, drawn, scanned.labels, config.variation)


def photo_halves() -> dict[str, list[NDArray[np.uint8]]]:
    """The left halves of scikit-learn's two photos, (427, 320, 3) each, for training, and the right ones for test."""
    from sklearn.datasets import load_sample_images  # slow to import, and only this function needs it

    photos = [np.asarray(photo, dtype=np.uint8) for photo in load_sample_images().images]
    middles = [photo.shape[1] // 2 for photo in photos]
    return {
        "train": [photo[:, :middle] for photo, middle in zip(photos, middles, strict=True)],
        "test": [photo[:, middle:] for photo, middle in zip(photos, middles, strict=True)],
    }


def _packed(split: str, drawn: list[Scene], labels: Int[Tensor, " m"], variation: SceneVariation) -> SceneSplit:
    chosen = [which for scene in drawn for which in scene.chosen]
    return SceneSplit(
        split=split,
        images=torch.from_numpy(np.stack([scene.pixels for scene in drawn])).permute(0, 3, 1, 2).contiguous(),
        digits=labels[chosen],
        masks=torch.from_numpy(np.concatenate([scene.masks for scene in drawn])),
        ends=np.cumsum([len(scene.chosen) for scene in drawn]),
        variation=variation,
    )
