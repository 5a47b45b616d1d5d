"""A folder in COCO's form as the splits that a detector learns from and is judged by.

    data = CocoConfig(path="coco").load()
    batch = data.train.augmented(np.arange(4), np.zeros(4, dtype=np.int64), seed=0)

Bad pictures and objects are left out and counted, or refused; what the batches hold: `coco_split`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lambdanets.data.coco_folder import MAX_OBJECTS, CocoSource, examine, parts
from lambdanets.data.coco_split import CocoSplit
from lambdanets.data.finding import DataError, Finding, refuse
from lambdanets.data.images import MAX_PIXELS
from lambdanets.data.jitter import Jitter
from lambdanets.data.ranges import refuse_outside
from lambdanets.data.stored import IMAGENET_MEAN, IMAGENET_STD, held_out
from lambdanets.preprocess import Preprocess
from lambdanets.printable import printable


@dataclass(frozen=True, kw_only=True)
class CocoConfig:
    """Where a data set in COCO's form lies, and how its pictures are varied."""

    path: str = ""
    """The folder that holds `annotations` and the pictures; what `--data` sets."""
    image_size: int = 1024
    """Rows and columns of the canvas that training pictures come on, in pixels, and longer side of a picture to be
    judged, 32…8192."""
    jitter: tuple[float, float] = (0.1, 2.0)
    """Least and greatest length of a training picture's longer side, as a multiple of the canvas; 0.01…10."""
    flip: float = 0.5
    """Probability of a training picture being mirrored, 0…1; 0 where left and right mean something."""
    empty_pictures: bool = False
    """Whether pictures without objects, crowds not counted, are trained on too."""
    holdout: float = 0.0
    """Share of the training pictures held out to choose settings by, 0 up to 1, chosen by a hash of their names."""
    bad_annotations: Literal["drop", "refuse"] = "drop"
    """What becomes of pictures and objects that `lambdanets data check` would have mended: left out and counted, or no
    training at all."""
    max_bad: float = 0.01
    """Share of the pictures and objects of a split that may be left out so, 0…1; more are refused."""
    max_objects: int = MAX_OBJECTS
    """A picture with more objects counts as bad; 1 or more."""
    max_pixels: int = MAX_PIXELS
    """A picture with more pixels counts as unreadable; above 0."""

    def __post_init__(self) -> None:
        """Refuse numbers outside the ranges above."""
        refuse_outside(self, "data", image_size=(32, 8192), flip=(0, 1), max_bad=(0, 1))
        refuse_outside(self, "data", max_objects=(1, 10**6), max_pixels=(1, 2**40))
        if len(self.jitter) != 2 or not 0.01 <= self.jitter[0] <= self.jitter[1] <= 10:
            raise ValueError(f"data.jitter: got {self.jitter}, wanted two multiples of 0.01 to 10, the lesser first.")
        if not 0 <= self.holdout < 1:
            raise ValueError(f"data.holdout: got {self.holdout}, wanted a share from 0 to below 1.")
        if self.bad_annotations not in ("drop", "refuse"):
            raise ValueError(f"data.bad_annotations: got '{self.bad_annotations}', wanted 'drop' or 'refuse'.")

    @property
    def preprocess(self) -> Preprocess:
        """The size and the statistics that a detector of this data works with."""
        return Preprocess(size=(self.image_size, self.image_size), mean=IMAGENET_MEAN, std=IMAGENET_STD)

    def load(self) -> "Coco":
        """The splits. Judged on are, in this order: pictures held out, the data's split val, its split test.

        Raises:
            DataError: a ValueError: there is no such data, it cannot be read or trained on, too much of it is bad, or
                its splits do not fit together.
        """
        path, there = self._folder()
        if "train" not in there:
            raise DataError(
                f"{path} holds no annotations/instances_train.json: wanted a folder in COCO's form, with the pictures "
                "of each split in a folder of its name."
            )
        told: list[str] = []
        splits = {name: self._split(path, name, told) for name in there}
        return _arranged(splits, self.holdout, tuple(told))

    def load_judged(self) -> "Coco":
        """Only the split val, or else test, which stands where training pictures would; for judging what is trained.

        Raises:
            DataError: as for `load`.
        """
        path, there = self._folder()
        name = next((name for name in ("val", "test") if name in there), None)
        if name is None:
            raise DataError(f"{path} holds neither annotations/instances_val.json nor instances_test.json to judge by.")
        told: list[str] = []
        split = self._split(path, name, told)
        other = {"validation": split, "test": None} if name == "val" else {"validation": None, "test": split}
        return Coco(train=split, **other, notes=tuple(told))

    def _folder(self) -> tuple[Path, set[str]]:
        """Where it lies, and the splits that are there."""
        if not self.path:
            raise DataError("no data was named: say where the folder in COCO's form is with --data PATH.")
        path = Path(self.path)
        if not path.is_dir():
            raise DataError(f"{path} is {'a file' if path.exists() else 'not there'}: name the folder in COCO's form.")
        return path, set(parts(path)) if (path / "annotations").is_dir() else set()

    def _split(self, path: Path, name: str, told: list[str]) -> CocoSplit:
        source, findings = examine(path, name, self.max_objects)
        refuse(findings)
        told += self._left_out(source, findings)
        single = source.annotations.object_counts(crowds=False)
        everything = name != "train" or self.empty_pictures
        chosen = np.arange(len(source)) if everything else np.flatnonzero(single)
        jitter = Jitter(side=self.image_size, scales=self.jitter, flip=self.flip, fill=IMAGENET_MEAN)
        return CocoSplit(source=source, chosen=chosen, jitter=jitter, max_pixels=self.max_pixels)

    def _left_out(self, source: CocoSource, findings: list[Finding]) -> list[str]:
        """A sentence of what is left out, if anything is; DataError where that is not wanted."""
        grave = [finding for finding in findings if not finding.note and finding.kind != "empty-class"]
        if not grave:
            return []
        kinds = {finding.kind: source.faults.counts[finding.kind] for finding in grave}
        bad, good = sum(kinds.values()), len(source) + len(source.annotations.labels)
        counted = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        what = f"{printable(source.faults.name)}: {bad:,} of {bad + good:,} pictures and objects are bad ({counted})"
        first = f"The first: {grave[0]} `lambdanets data check` lists them."
        if self.bad_annotations == "refuse":
            raise DataError(f"{what}. {first} Leave them out with --set data.bad_annotations=drop.")
        if bad > self.max_bad * (bad + good):
            raise DataError(f"{what}, more than data.max_bad={self.max_bad:g}. {first}")
        return [f"{what} and left out. {first}"]


@dataclass(frozen=True, kw_only=True)
class Coco:
    """A data set in COCO's form, split. One of `validation` and `test` may be missing, not both."""

    train: CocoSplit
    validation: CocoSplit | None
    test: CocoSplit | None
    notes: tuple[str, ...] = ()
    """A sentence for each split of which something bad was left out: how much, and the first."""


def _arranged(splits: dict[str, CocoSplit], holdout: float, notes: tuple[str, ...]) -> Coco:
    train, validation, test = (splits.get(name) for name in ("train", "val", "test"))
    assert train is not None
    for other in (validation, test):
        if other is not None and (other.category_ids, other.classes) != (train.category_ids, train.classes):
            raise DataError(
                f"{printable(other.source.faults.name)} lists other categories than "
                f"{printable(train.source.faults.name)}: give both the same ids and names."
            )
    if not holdout:
        if validation is None and test is None:
            raise DataError(
                "this data has only training pictures, nothing to judge on: add annotations/instances_val.json, or "
                "hold some out with --set data.holdout=0.1."
            )
        return Coco(train=train, validation=validation, test=test, notes=notes)
    out = held_out([train.name(index) for index in range(len(train))], holdout)
    if out.all() or not out.any():
        raise DataError(f"data.holdout: {holdout} of {len(train)} pictures are {out.sum()}; wanted some, not all.")
    kept_back = train.part(np.flatnonzero(out))
    return Coco(
        train=train.part(np.flatnonzero(~out)),
        validation=kept_back,
        test=validation if test is None else test,
        notes=notes,
    )
