"""Writing pictures as a tree of folders, as tar shards or as parquet files: the same bytes, in the same order.

A sample's place in the row becomes its name (000042.png), by which every form is read in the order it was written.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from lambdanets.data.finding import DataError
from lambdanets.data.parquet import library
from lambdanets.data.shards import CLASSES_FILE
from lambdanets.whole_file import writing

SHARD_SAMPLES = 1000
"""Pictures in a tar file or parquet file, by default."""
_ROW_GROUP = 100
"""Rows that are written, and read, at once."""


class Sample(NamedTuple):
    """One encoded picture."""

    content: bytes
    """The image file."""
    label: int
    """Its class, 0 … classes − 1."""
    suffix: str = ".png"
    """How the names of such files end."""


def write_tree(samples: Iterable[Sample], path: Path, split: str, classes: Sequence[str]) -> None:
    """SPLIT/CLASS/000000.png and so on.

    Raises:
        NotWrittenError: a file cannot be written; what was written stays.
    """
    for name in classes:
        _check_folder_name(name)
        with writing(path / split / name):
            (path / split / name).mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(samples):
        file = path / split / classes[sample.label] / f"{number:06d}{sample.suffix}"
        with writing(file):
            file.write_bytes(sample.content)


def write_shards(
    samples: Iterable[Sample], path: Path, split: str, classes: Sequence[str], *, shard_samples: int = SHARD_SAMPLES
) -> None:
    """SPLIT-000000.tar and so on, of 000000.png and 000000.cls; and classes.txt. Raises as `write_tree`."""
    path.mkdir(parents=True, exist_ok=True)
    with writing(path / CLASSES_FILE):
        (path / CLASSES_FILE).write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    row, number = iter(samples), 0
    for shard, part in enumerate(_batches(row, shard_samples)):
        file = path / f"{split}-{shard:06d}.tar"
        with writing(file), tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as archive:
            for sample in part:
                _add(archive, f"{number:06d}{sample.suffix}", sample.content)
                _add(archive, f"{number:06d}.cls", str(sample.label).encode())
                number += 1


def write_parquet(
    samples: Iterable[Sample], path: Path, split: str, classes: Sequence[str], *, file_samples: int = SHARD_SAMPLES
) -> None:
    """data/SPLIT-00000-of-00002.parquet and so on, with the columns image and label. Raises as `write_tree`."""
    datasets = library()
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=list(classes)))
    schema = features.arrow_schema
    (path / "data").mkdir(parents=True, exist_ok=True)
    drafts, number = [], 0
    for place, part in enumerate(_batches(iter(samples), file_samples)):
        drafts.append(path / "data" / f"{split}-{place:05d}.draft")
        with writing(drafts[-1]), ParquetWriter(drafts[-1], schema) as writer:
            for group in _batches(iter(part), _ROW_GROUP):
                images = [{"bytes": sample.content, "path": None} for sample in group]
                for offset, (image, sample) in enumerate(zip(images, group, strict=True)):
                    image["path"] = f"{number + offset:06d}{sample.suffix}"
                number += len(group)
                columns = {"image": images, "label": [sample.label for sample in group]}
                writer.write_table(pyarrow.Table.from_pydict(columns, schema=schema))
    for place, draft in enumerate(drafts):  # only now is it known how many there are
        draft.rename(path / "data" / f"{split}-{place:05d}-of-{len(drafts):05d}.parquet")


WRITERS: dict[str, Callable[[Iterable[Sample], Path, str, Sequence[str]], None]] = {
    "tree": write_tree,
    "shards": write_shards,
    "parquet": write_parquet,
}
"""What writes each form."""


def _batches(row: Iterator[Sample], size: int) -> Iterator[list[Sample]]:
    while part := list(islice(row, size)):
        yield part


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """A member without date and owner: the same samples make the same shard."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _check_folder_name(name: str) -> None:
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise DataError(
            f"the class {json.dumps(name)} cannot be a folder: wanted a name without '/' and a leading dot."
        )
