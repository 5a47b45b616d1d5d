"""Labelled pictures by number, whatever form they are stored in: a tree of folders, tar shards, parquet files.

    source = open_source(Path("DATA"), "train")
    source.read(0), source.labels[0], source.classes, source.name(0)

One path tells the forms apart. The order of a source is its own; what `lambdanets.data.export` writes keeps its order
in every form, and so gives the same weights.
"""

from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lambdanets.data import coco_folder, parquet, shards, tree
from lambdanets.data.finding import DataError, Finding, refuse
from lambdanets.data.splits import WHOLE, split_wanted


class Source(Protocol):
    """Encoded pictures by number. Pickled quickly; each process opens its own files."""

    classes: tuple[str, ...]
    """Names of the classes, in order of labels; () for pictures without labels."""
    labels: NDArray[np.int64]
    """The class of each picture, (n,), 0 … len(classes) − 1; −1 where it is not known."""

    def __len__(self) -> int:
        """Number of pictures."""
        ...

    def name(self, index: int) -> str:
        """Where a picture is, for people: its path in the data set, or shard.tar:member."""
        ...

    def read(self, index: int) -> bytes:
        """The encoded image file; OSError or ImageError if it is gone."""
        ...


def open_source(path: Path, split: str | None = None) -> Source:
    """The pictures of a split: train, val or test, or a word that means one, as validation does.

    None: all of data that has no splits, or the only split there is. Data without splits counts as train.

    Raises:
        DataError: a ValueError: there is no such data or split, it is none of the forms, or it cannot be trained on as
            it is. Says what to do.
    """
    if form_of(path) is coco_folder:
        raise DataError(
            f"{path} is in COCO's form, with objects to be found: teach a detector with it, or give others."
        )
    source, findings = examine_source(path, chosen_split(path, split))
    refuse(findings)
    if not len(source):
        raise DataError(f"{path} holds no image{f' in {split}' if split else ''}: wanted one at least.")
    return source


def available_splits(path: Path) -> tuple[str, ...]:
    """The splits of the data, of train, val and test; () for data without splits. DataError as `open_source`."""
    return form_of(path).splits(path)


def examine_source(path: Path, split: str) -> tuple[Source, list[Finding]]:
    """The pictures of a split that is there (`WHOLE` without splits), however bad, and all that is wrong with them."""
    return form_of(path).examine(path, split)


def chosen_split(path: Path, split: str | None) -> str:
    """The split that is meant, in our words, or `WHOLE`; DataError where it is not there."""
    there = available_splits(path)
    wanted = WHOLE if split is None else split_wanted(split)
    if wanted in there:
        return wanted
    if not there and wanted in (WHOLE, "train"):
        return WHOLE
    if wanted == WHOLE and len(there) == 1:
        return there[0]
    if wanted == WHOLE:
        raise DataError(f"{path} has the splits {', '.join(there)}: say which one is meant.")
    found = f"has the splits {', '.join(there)}" if there else "has no splits"
    raise DataError(f"{path} {found}, wanted {wanted} too: add it, name it so, or give another split.")


def form_of(path: Path) -> ModuleType:
    """The module that knows the form the data has; DataError where it is none, or more than one."""
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder.")
    if path.is_file() and not path.name.lower().endswith((".tar", ".parquet")):
        raise DataError(f"{path} is a file, wanted {_WANTED}{_unpack(path)}.")
    if coco_folder.is_coco(path):
        return coco_folder  # though its pictures lie in folders too
    tests = ((shards, shards.is_shards), (parquet, parquet.is_parquet), (tree, tree.is_tree))
    forms = [form for form, is_form in tests if is_form(path)]
    if not forms:
        raise DataError(f"{path} holds no data that is known, wanted {_WANTED}.")
    if len(forms) > 1:
        names = " and ".join(_SIGNS[form.NAME] for form in forms)
        raise DataError(f"{path} holds {names}, wanted one form: keep each in a folder of its own.")
    return forms[0]


_SIGNS = {"shards": "tar files", "parquet": "a Hugging Face data set", "tree": "pictures in folders"}
_WANTED = (
    "a folder of CLASS/picture.jpg, of train-000000.tar and such, or of Hugging Face parquet files, "
    "with or without the splits train, val and test"
)


def _unpack(path: Path) -> str:
    packed = path.name.lower().endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip"))
    return "; unpack it first" if packed else ""
