"""Pictures in a Hugging Face data set on disk: parquet files, or a folder made by `save_to_disk`.

Needs the library `datasets`, the extra `[data]`. Parquet cannot be read at random places, so `datasets` makes a copy
that can: in `.lambdanets-cache` beside the files or, where that cannot be written, in a folder that goes when the
process ends. Nothing is fetched from anywhere.
"""

import atexit
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.finding import DataError, Finding
from lambdanets.data.images import ImageError
from lambdanets.data.labels import MAX_LABEL, UNKNOWN, judge_labels, numbered_classes, too_large
from lambdanets.data.labels import unlabelled_among_labelled as unlabelled
from lambdanets.data.splits import WHOLE, files_by_split, in_order, split_folders
from lambdanets.data.tree import MAX_BYTES, read_file

if TYPE_CHECKING:
    from datasets import Dataset

NAME = "parquet"
CACHE = ".lambdanets-cache"
"""The folder beside the files that holds the copy for random places."""
WITHIN = ("data", "default")
"""Folders of a data set in which the hub keeps its files."""
_IMAGE_NAMES = ("image", "img", "picture", "jpg", "png")
_LABEL_NAMES = ("label", "labels", "fine_label", "class", "cls")


class ParquetSource:
    """The pictures of one split, in the order of its files and of the rows in them."""

    def __init__(self, root: Path, part: str, rows: "Dataset | None", labels: NDArray[np.int64]) -> None:
        self._root = root
        self._part = part
        self._rows = rows  # maps its files into memory, and is pickled as their paths
        self.labels = labels
        self.classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.labels)

    def name(self, index: int) -> str:
        """The part of the data set, and the row in it, counted from 0."""
        return f"{self._part}:row {index}"

    def read(self, index: int) -> bytes:
        """What is in the file of a picture; OSError or ImageError if there is none."""
        assert self._rows is not None
        cell: Any = self._rows[int(index)]["image"]
        content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
        if content is None and path:
            return self._read_beside(self.name(index), path)
        if not isinstance(content, bytes):
            raise ImageError(f"{self.name(index)} holds no picture: leave the row out.")
        if len(content) > MAX_BYTES:
            raise ImageError(f"{self.name(index)} has {len(content):,} bytes, wanted {MAX_BYTES:,} at most.")
        return content

    def _read_beside(self, name: str, path: str) -> bytes:
        """A picture that the table only names. It must lie in the data set: a table of strangers may name anything."""
        file = (self._root / path).resolve()
        if not file.is_relative_to(self._root.resolve()):
            raise ImageError(f"{name} names a file outside the data set, {path}: put the picture into the table.")
        return read_file(file, f"{name}, {path},")


def is_parquet(path: Path) -> bool:
    """Whether there are parquet files in the folder or in those of its splits, or it was made by `save_to_disk`."""
    return _is_saved(path) or bool(files_by_split(path, ".parquet", WITHIN))


def splits(path: Path) -> tuple[str, ...]:
    """The splits that the names of files or folders tell of."""
    if _is_saved(path):
        return in_order(name for name, folder in split_folders(path).items() if (folder / "state.json").is_file())
    return in_order(files_by_split(path, ".parquet", WITHIN))


def examine(path: Path, split: str) -> tuple[ParquetSource, list[Finding]]:
    """The pictures of a split, `WHOLE` for data without splits, and what is wrong with the columns."""
    root = path if path.is_dir() else path.parent
    rows = _open_rows(path, root, split)
    part = split or path.name
    image, label = _image_column(rows), _label_column(rows)
    if image is None or label is None:
        wanted = "image" if image is None else "label"
        empty = ParquetSource(root, part, None, np.zeros(0, dtype=np.int64))
        return empty, [_lacks(str(path), part, wanted, list(rows.column_names))]
    numbers, findings = _labels(rows, label, part)
    chosen = rows.select_columns([image])
    chosen = chosen if image == "image" else chosen.rename_column(image, "image")
    source = ParquetSource(root, part, _undecoded(chosen), numbers)
    named = tuple(getattr(rows.features[label], "names", None) or ())
    source.classes = named or _counted_classes(path, root, split, numbers)
    place = (lambda name: f"{path}: class {name}") if named else None
    findings += judge_labels(numbers, source.classes, split, where=str(path), place=place)
    lacking = np.flatnonzero(numbers == UNKNOWN)
    if 0 < len(lacking) < len(numbers):
        findings.append(unlabelled(source.name(int(lacking[0])), len(lacking)))
    return source, findings


def _is_saved(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def library() -> Any:
    """The library `datasets`, told to stay off the network; DataError with the way to get it where it is missing."""
    try:
        import datasets
        from datasets import config
    except ImportError:
        raise DataError(
            "Data in parquet files needs the library datasets, which is not installed: pip install 'lambdanets[data]'."
        ) from None
    config.HF_DATASETS_OFFLINE = True
    datasets.disable_progress_bars()
    return datasets


def _open_rows(path: Path, root: Path, split: str) -> "Dataset":
    datasets = library()
    if _is_saved(path):
        folder = split_folders(path)[split] if split != WHOLE else path
        return _opened(folder, lambda: datasets.load_from_disk(str(folder)))
    files = files_by_split(path, ".parquet", WITHIN)[split]
    cache = _cache_folder(root, files)
    names = [str(file) for file in files]
    return _opened(files[0], lambda: datasets.Dataset.from_parquet(names, cache_dir=str(cache)))


def _opened(path: Path, load: Any) -> "Dataset":
    """What `load` returns; its many kinds of errors as one sentence about the path."""
    try:
        return load()
    except Exception as error:  # pyarrow, datasets and fsspec have a dozen kinds
        cause = error.__cause__ or error
        reason = " ".join(str(cause).split())[:200]
        fix = "mend that" if isinstance(cause, OSError) else "fetch or write it again"
        raise DataError(f"{path} cannot be read as a data set ({reason}): {fix}.") from cause


def _cache_folder(root: Path, files: list[Path]) -> Path:
    """Where the copy of these files, as they are now, belongs."""
    stamps = [(file.relative_to(root).as_posix(), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = hashlib.sha256(repr(stamps).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    beside = root / CACHE / key
    try:
        beside.mkdir(parents=True, exist_ok=True)
        if os.access(beside, os.W_OK):
            return beside
    except OSError:
        pass
    elsewhere = Path(tempfile.mkdtemp(prefix="lambdanets-"))
    atexit.register(shutil.rmtree, elsewhere, ignore_errors=True)
    return elsewhere


def _image_column(rows: "Dataset") -> str | None:
    """The column of pictures: by its kind, the usual name first, else bytes under a usual name."""
    features = rows.features
    kinds = [name for name, kind in features.items() if type(kind).__name__ == "Image" or _is_file(kind)]
    usual = [
        name for name in _IMAGE_NAMES if name in features and (name in kinds or _dtype(features[name]) == "binary")
    ]
    return next((name for name in usual if name in kinds), None) or next(iter([*usual, *kinds]), None)


def _label_column(rows: "Dataset") -> str | None:
    """The column of whole numbers that is called as labels are, else the only one that names classes."""
    features = rows.features
    usual = [name for name in _LABEL_NAMES if name in features and "int" in _dtype(features[name])]
    named = [name for name, kind in features.items() if type(kind).__name__ == "ClassLabel"]
    return usual[0] if usual else named[0] if len(named) == 1 else None


def _is_file(kind: object) -> bool:
    return isinstance(kind, dict) and {"bytes", "path"} <= set(kind)


def _dtype(kind: object) -> str:
    return str(getattr(kind, "dtype", ""))


def _undecoded(rows: "Dataset") -> "Dataset":
    """The pictures as the bytes that they were written with."""
    if type(rows.features["image"]).__name__ != "Image":
        return rows
    return rows.cast_column("image", library().Image(decode=False))


def _labels(rows: "Dataset", column: str, part: str) -> tuple[NDArray[np.int64], list[Finding]]:
    """The numbers, −1 for none, and a finding for the first that is none of a class."""
    cells = rows.data.column(column).to_pylist()
    if rows._indices is not None:  # rows that were chosen or shuffled before they were saved
        cells = list(rows[column])
    numbers = np.array([UNKNOWN if cell is None else cell for cell in cells], dtype=np.int64)
    wrong = np.flatnonzero((numbers < UNKNOWN) | (numbers > MAX_LABEL))
    findings = [too_large(f"{part}:row {wrong[0]}", numbers[wrong[0]])] if len(wrong) else []
    numbers[wrong] = UNKNOWN
    return numbers, findings


def _counted_classes(path: Path, root: Path, split: str, numbers: NDArray[np.int64]) -> tuple[str, ...]:
    """Classes that have no names: as many as the greatest label of any split says, so that all splits agree."""
    greatest = int(numbers.max(initial=UNKNOWN))
    for other in set(splits(path)) - {split}:
        rows = _open_rows(path, root, other)
        column = _label_column(rows)
        if column is not None:
            greatest = max(greatest, int(_labels(rows, column, other)[0].max(initial=UNKNOWN)))
    return numbered_classes(greatest)


def _lacks(where: str, part: str, wanted: str, columns: list[str]) -> Finding:
    kind = "pictures (type Image, or bytes)" if wanted == "image" else "whole numbers"
    return Finding(
        kind=f"no-{wanted}-column",
        where=where,
        what=f"has no column of {wanted}s in {part}, only {', '.join(columns) or 'none'}",
        fix=f"rename the column of {kind} to '{wanted}'",
    )
