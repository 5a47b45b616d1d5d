"""Pictures that lie on a disk, in any form that `data.source` opens, as the splits of a data set.

A picture that cannot be read keeps its place in the batch: its image is zeros, its weight 0, and a note says which and
why. No other picture ever stands in for it.

Letters: b batch, c channels, y rows and x columns of pixels.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lambdanets.data.augment import Variation, enough_pixels, unvaried, varied
from lambdanets.data.batch import LabelledBatch
from lambdanets.data.doing import doing
from lambdanets.data.images import MAX_PIXELS, ImageError, decode_image
from lambdanets.data.mixture import Mixture, with_pseudo_labels
from lambdanets.data.pseudo import PseudoConfig, content_hash
from lambdanets.data.ranges import refuse_outside
from lambdanets.data.source import Source, available_splits, open_source
from lambdanets.preprocess import Preprocess
from lambdanets.printable import printable

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class StoredConfig:
    """Where pictures lie, and how they are resized, varied and split."""

    path: str = ""
    """A folder of pictures, tar shards or parquet files; what `--data` sets."""
    image_size: int = 224
    """Side of the network's input, in pixels, 8…4096."""
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    """How pixels between pixels are made."""
    crop: float = 0.875
    """Share of the side that is kept of a picture to be judged, in (0, 1]."""
    min_area: float = 0.08
    """Least share of a training picture that its random crop keeps, in (0, 1]."""
    flip: float = 0.5
    """Probability of a training picture being mirrored, 0…1; 0 where left and right mean something."""
    rand_augment_layers: int = 0
    """How many random changes RandAugment makes to a training picture; 0…8."""
    rand_augment_magnitude: int = 10
    """How strong they are, 0…30, on the scale of the paper's code: 10 turns by 30 degrees."""
    holdout: float = 0.0
    """Share of the training pictures held out to choose settings by, 0 up to 1, chosen by a hash of their names. With
    any, the run is judged on them."""
    max_pixels: int = MAX_PIXELS
    """A picture with more pixels counts as unreadable; above 0."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    """Subtracted from pixels of 0…1, one number a channel; with one number pictures are read as grey."""
    std: tuple[float, ...] = IMAGENET_STD
    """Divided by, as many positive numbers."""
    pseudo: PseudoConfig = field(default_factory=PseudoConfig)
    """Pseudo-labels of other pictures, to be learned from too."""

    def __post_init__(self) -> None:
        """Refuse numbers outside the ranges above."""
        refuse_outside(self, "data", image_size=(8, 4096), flip=(0, 1), rand_augment_layers=(0, 8))
        refuse_outside(self, "data", rand_augment_magnitude=(0, 30), max_pixels=(1, 2**40))
        for name in ("crop", "min_area"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"data.{name}: got {getattr(self, name)}, wanted a share above 0, up to 1.")
        if not 0 <= self.holdout < 1:
            raise ValueError(f"data.holdout: got {self.holdout}, wanted a share from 0 to below 1.")
        if len(self.mean) not in (1, 3) or len(self.mean) != len(self.std) or min(self.std) <= 0:
            raise ValueError(
                f"data.mean and data.std: got {self.mean} and {self.std}, wanted 1 or 3 numbers each, std above 0."
            )

    @property
    def preprocess(self) -> Preprocess:
        """What every picture to be judged goes through before the network."""
        size = (self.image_size, self.image_size)
        return Preprocess(size=size, crop=self.crop, mean=self.mean, std=self.std, interpolation=self.interpolation)

    @property
    def variation(self) -> Variation:
        """How training pictures are varied."""
        layers, magnitude = self.rand_augment_layers, self.rand_augment_magnitude
        return Variation(min_area=self.min_area, flip=self.flip, layers=layers, magnitude=magnitude)

    def load(self) -> "Stored":
        """The splits. Judged on are, in this order: pictures held out, the data's split val, its split test.

        Raises:
            ValueError: there is no such data, a training picture without a label, nothing to judge on.
        """
        path = self._path()
        splits = available_splits(path)
        whole = self.all_of(open_source(path, "train" if "train" in splits else None))
        others = {name: self.all_of(open_source(path, name)) for name in ("val", "test") if name in splits}
        data = split_up(whole, others, self.holdout)
        if not self.pseudo.wanted:
            return data
        assert isinstance(data.train, StoredImages)  # as it is not mixed yet
        return replace(data, train=with_pseudo_labels(data.train, self.load_pool, self.pseudo))

    def load_pool(self, path: str = "") -> "StoredImages":
        """All pictures of a path (by default of this one's training split) as one split; labels may be −1 = unknown."""
        where = Path(path) if path else self._path()
        return self.all_of(open_source(where, "train" if "train" in available_splits(where) else None))

    def all_of(self, source: Source) -> "StoredImages":
        """Every picture of a source."""
        return StoredImages(
            source=source,
            chosen=np.arange(len(source), dtype=np.int64),
            classes=source.classes,
            labels=np.asarray(source.labels, dtype=np.int64),
            preprocess=self.preprocess,
            variation=self.variation,
            max_pixels=self.max_pixels,
        )

    def _path(self) -> Path:
        if not self.path:
            raise ValueError("no data was named: say where the pictures are with --data PATH.")
        return Path(self.path)


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredImages:
    """One split: some pictures of a source, and the batches made of them. Can be sent to worker processes."""

    source: Source
    chosen: NDArray[np.int64]
    """Index in the source of each picture of the split."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the labels."""
    labels: NDArray[np.int64]
    """A label for each picture of the split; −1 where it is unknown."""
    preprocess: Preprocess
    variation: Variation
    max_pixels: int = MAX_PIXELS

    @property
    def num_classes(self) -> int:
        """Number of classes; labels are 0 … num_classes − 1."""
        return len(self.classes)

    @property
    def num_channels(self) -> int:
        """Channels of an image."""
        return self.preprocess.channels

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.chosen)

    def name(self, index: int) -> str:
        """What a picture of the split is called, for people."""
        return self.source.name(int(self.chosen[index]))

    def plain(self, indices: NDArray[np.int64]) -> LabelledBatch:
        """These pictures as they are judged: resized, the middle cut out."""
        return self._batch(indices, lambda place, picture: unvaried(picture, self.preprocess))

    def augmented(self, indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int) -> LabelledBatch:
        """These pictures, each varied by a chance that is a pure function of (seed, epoch, index)."""

        def vary(place: int, picture: Image.Image) -> UInt8[Tensor, "c y x"]:
            """The picture at this place of the batch."""
            epoch, index = int(epochs[place]), int(indices[place])
            return varied(picture, self.preprocess, self.variation, seed=seed, epoch=epoch, index=index)

        return self._batch(indices, vary)

    def at_size(self, side: int) -> "StoredImages":
        """The same pictures for a network input of another size, as for judging at several resolutions."""
        return replace(self, preprocess=replace(self.preprocess, size=(side, side)))

    def part(self, places: NDArray[np.int64]) -> "StoredImages":
        """A split of only the pictures at these places."""
        return replace(self, chosen=self.chosen[places], labels=self.labels[places])

    def content_hash(self, index: int) -> str:
        """What tells a picture's file from another; ImageError if it cannot be read."""
        return content_hash(self._content(index))

    def _batch(
        self, indices: NDArray[np.int64], seen: Callable[[int, Image.Image], UInt8[Tensor, "c y x"]]
    ) -> LabelledBatch:
        pixels = torch.zeros(len(indices), self.num_channels, *self.preprocess.size, dtype=torch.uint8)
        weights = torch.ones(len(indices))
        notes = []
        for place, index in enumerate(indices):
            try:
                pixels[place] = seen(place, self._read(int(index)))
            except ImageError as error:
                weights[place] = 0
                notes.append(str(error))
        images = self.preprocess.normalize(pixels.float().div_(255))
        images[weights == 0] = 0
        return LabelledBatch(images, torch.from_numpy(self.labels[indices]), weights, tuple(notes))

    def _read(self, index: int) -> Image.Image:
        name = self.name(index)
        doing(name)
        content = self._content(index)
        return decode_image(content, name, max_pixels=self.max_pixels, enough=enough_pixels(self.preprocess))

    def _content(self, index: int) -> bytes:
        try:
            return self.source.read(int(self.chosen[index]))
        except OSError as error:
            raise ImageError(f"{self.name(index)} cannot be read ({error.strerror or error}).") from None


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A data set on a disk, split. One of `validation` and `test` may be missing, not both."""

    train: StoredImages | Mixture
    validation: StoredImages | None
    test: StoredImages | None


def split_up(whole: StoredImages, others: dict[str, StoredImages], holdout: float) -> Stored:
    """The splits made of the training pictures and of those named "val" and "test".

    With a holdout, `validation` is a part of the training pictures, and what was it before becomes the test where there
    is no other.

    Raises:
        ValueError: a label is missing, the splits' classes do not fit, nothing is there to judge on or to train with.
    """
    _check_labels(whole)
    validation, test = (
        with_classes(others[name], whole.classes) if name in others else None for name in ("val", "test")
    )
    if not holdout:
        if validation is None and test is None:
            raise ValueError(
                "this data has only training pictures, nothing to judge on: add a split val, or hold some out with "
                "--set data.holdout=0.1."
            )
        return Stored(train=whole, validation=validation, test=test)
    out = held_out([whole.name(index) for index in range(len(whole))], holdout)
    if out.all() or not out.any():
        raise ValueError(f"data.holdout: {holdout} of {len(whole)} pictures are {out.sum()}; wanted some, not all.")
    train, kept_back = whole.part(np.flatnonzero(~out)), whole.part(np.flatnonzero(out))
    return Stored(train=train, validation=kept_back, test=validation if test is None else test)


def held_out(names: Sequence[str], share: float) -> NDArray[np.bool_]:
    """Which pictures fall into about this share, by the hash of their names, folder and shard aside.

    So a picture's lot depends neither on the others nor on whether they lie in folders or in shards. Rows of parquet
    files have no names; their number stands for it.
    """
    own = [re.split("[/:]", name)[-1].encode("utf-8", "surrogateescape") for name in names]
    digests = [blake2b(name, digest_size=8).digest() for name in own]
    return np.array([int.from_bytes(digest, "big") < share * 2**64 for digest in digests], dtype=bool)


def _check_labels(split: StoredImages) -> None:
    unknown = np.flatnonzero((split.labels < 0) | (split.labels >= split.num_classes))
    if not len(split) or not split.num_classes:
        raise ValueError(f"this data has {len(split)} training pictures of {split.num_classes} classes: wanted some.")
    if len(unknown):
        raise ValueError(
            f"{printable(split.name(int(unknown[0])))} has no label, and {len(unknown) - 1} more of {len(split)} "
            "training pictures: put each in the folder of its class, or leave it out."
        )


def with_classes(split: StoredImages, classes: tuple[str, ...]) -> StoredImages:
    """The split with the labels that these classes, which were trained, have; it may lack some of them.

    Raises:
        ValueError: it has others, or a picture without a label.
    """
    strangers = sorted(set(split.classes) - set(classes))
    if strangers:
        raise ValueError(
            f"{len(strangers)} classes are to be judged but not trained, the first is {printable(strangers[0])}: give "
            "both splits the same class names."
        )
    places = np.array([classes.index(name) for name in split.classes], dtype=np.int64)
    judged = replace(split, classes=classes, labels=places[split.labels] if len(places) else split.labels)
    _check_labels(replace(judged, labels=np.where(split.labels < 0, -1, judged.labels)))
    return judged
