"""Where each picture lies in its tar file: looked up once, kept beside the shards, again where a shard has changed."""

import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lambdanets.data.finding import Finding
from lambdanets.data.images import SUFFIXES
from lambdanets.data.labels import MAX_LABEL, UNKNOWN, too_large
from lambdanets.data.packed import PackedTexts
from lambdanets.whole_file import NotWrittenError, write_whole

_VERSION = 1
_MAX_LABEL_BYTES = 2**20
"""A label file beyond this is not read."""
_BLOCK = 512
"""Bytes that a tar file is made of."""


@dataclass(kw_only=True)
class ShardIndex:
    """The pictures of one shard."""

    name: str
    """The shard's path in the data set."""
    members: Sequence[str] | PackedTexts
    """The name of each picture in the shard."""
    offsets: NDArray[np.int64]
    """Where each picture begins, in bytes."""
    sizes: NDArray[np.int64]
    """The bytes of each picture."""
    labels: NDArray[np.int64]
    """The class of each picture, −1 for one without a label."""
    findings: list[Finding] = field(default_factory=list)
    """What is wrong with the shard."""


def index_shards(root: Path, files: Sequence[Path], cache: Path) -> list[ShardIndex]:
    """The index of each shard: from the cache, where the shard's size and time are those kept there, or read now.

    The cache is written where something was read and all is well; where that is not possible, nothing is lost but time.
    """
    kept = _load(cache)
    stamps = [(file.relative_to(root).as_posix(), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    indexes = [kept.get(stamp) or read_index(file, stamp[0]) for file, stamp in zip(files, stamps, strict=True)]
    sound = [(stamp, index) for stamp, index in zip(stamps, indexes, strict=True) if not index.findings]
    if {stamp for stamp, _ in sound} - set(kept):
        _save(cache, sound)
    return indexes


def read_index(file: Path, name: str) -> ShardIndex:
    """The pictures of a tar file, in order, with what is wrong; of a damaged file those before the damage."""
    samples: dict[str, _Sample] = {}
    findings: list[Finding] = []
    with file.open("rb") as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                for member in archive:
                    if member.isfile():
                        findings += _take(samples, archive, member, name)
                end = archive.offset
            findings += _judge_end(stream, end, name)
        except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
            findings.append(_damaged(name, " ".join(str(error).split()) or type(error).__name__))
        size = file.stat().st_size
    findings += [_pictureless(f"{name}:{key}") for key, sample in samples.items() if not sample.member]
    whole = [sample for sample in samples.values() if sample.member and sample.offset + sample.size <= size]
    return ShardIndex(
        name=name,
        members=[sample.member for sample in whole],
        offsets=np.array([sample.offset for sample in whole], dtype=np.int64),
        sizes=np.array([sample.size for sample in whole], dtype=np.int64),
        labels=np.array([sample.label for sample in whole], dtype=np.int64),
        findings=findings,
    )


@dataclass
class _Sample:
    """What is known of a key so far."""

    member: str = ""
    offset: int = 0
    size: int = 0
    label: int = UNKNOWN


def _take(
    samples: dict[str, _Sample], archive: tarfile.TarFile, member: tarfile.TarInfo, name: str
) -> Iterable[Finding]:
    """Put a member where it belongs; a finding if that cannot be."""
    folder, slash, base = member.name.rpartition("/")
    stem, dot, ending = base.partition(".")
    if not stem or not dot:  # hidden, or without an ending: none of a sample
        return
    key, ending = f"{folder}{slash}{stem}", ending.lower()
    is_picture = f".{ending}".endswith(SUFFIXES)
    if not is_picture and ending not in ("cls", "json"):
        return
    sample = samples.setdefault(key, _Sample())
    if not is_picture:
        label = _label(archive, member, ending)
        if isinstance(label, int):
            sample.label = label
        elif label is not None:
            yield too_large(f"{name}:{member.name}", label)
    elif sample.member:
        yield _doubled(f"{name}:{member.name}", sample.member)
    else:
        sample.member, sample.offset, sample.size = member.name, member.offset_data, member.size


def _label(archive: tarfile.TarFile, member: tarfile.TarInfo, ending: str) -> int | str | None:
    """The number of the class; a text if it is none; None for JSON that speaks of no label."""
    file = archive.extractfile(member)
    content = file.read(_MAX_LABEL_BYTES + 1) if file else b""
    text = content.decode("utf-8", errors="replace").strip()
    if ending == "json":
        try:
            spoken = json.loads(text)
        except (ValueError, RecursionError):
            return text or "nothing"
        if not isinstance(spoken, dict) or "label" not in spoken:
            return None
        text = str(spoken["label"])
    if not text.isascii() or not text.isdecimal() or len(text) > 12 or int(text) > MAX_LABEL:
        return text or "nothing"
    return int(text)


def _judge_end(stream: IO[bytes], end: int, name: str) -> list[Finding]:
    """Python ends a tar file in silence where a header makes no sense; so it is looked at what is there."""
    stream.seek(end)
    block = stream.read(_BLOCK)
    if not block:
        return [_damaged(name, "it ends without the mark of its end")]
    if len(block) < _BLOCK or any(block):
        return [_damaged(name, f"no header at byte {end:,}")]
    while rest := stream.read(2**20):
        if any(rest):
            return [_damaged(name, "something follows the mark of its end")]
    return []


def _damaged(name: str, reason: str) -> Finding:
    return Finding(kind="damaged-shard", where=name, what=f"is a damaged tar file ({reason})", fix="fetch it again")


def _doubled(where: str, other: str) -> Finding:
    what = f"is a second picture of the same sample, beside {other}"
    return Finding(kind="two-images", where=where, what=what, fix="wanted one picture a key; name them differently")


def _pictureless(where: str) -> Finding:
    what = "has a label but no picture"
    return Finding(
        kind="no-image", where=where, what=what, fix="add KEY.jpg, or KEY.png and such, or leave the label out"
    )


Stamp = tuple[str, int, int]
"""A shard's path in the data set, its size in bytes, and when it was changed, in nanoseconds."""


def _save(cache: Path, indexes: Sequence[tuple[Stamp, ShardIndex]]) -> None:
    packed = PackedTexts(member for _, index in indexes for member in index.members)
    names = PackedTexts(name for (name, _, _), _ in indexes)
    content = BytesIO()
    np.savez(
        content,
        version=_VERSION,
        names=names.content,
        name_ends=names.ends,
        stamps=np.array([stamp[1:] for stamp, _ in indexes], dtype=np.int64),
        counts=np.array([len(index.labels) for _, index in indexes], dtype=np.int64),
        members=packed.content,
        member_ends=packed.ends,
        places=np.concatenate([np.stack([index.offsets, index.sizes, index.labels]) for _, index in indexes], axis=1),
    )
    try:
        write_whole(cache, content.getvalue())
    except NotWrittenError:
        return  # a folder that may only be read: the index is made anew in each process that opens it


def _load(cache: Path) -> dict[Stamp, ShardIndex]:
    """What the cache says; nothing where it is missing, damaged or of another version."""
    try:
        with np.load(BytesIO(cache.read_bytes()), allow_pickle=False) as kept:
            if int(kept["version"]) != _VERSION:
                return {}
            return _unpacked({name: kept[name] for name in kept.files})
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, BadZipFile):
        return {}


def _unpacked(kept: dict[str, Any]) -> dict[Stamp, ShardIndex]:
    names = PackedTexts.of(kept["names"], kept["name_ends"])
    members = list(PackedTexts.of(kept["members"], kept["member_ends"]))
    bounds = np.concatenate([[0], np.cumsum(kept["counts"])])
    found: dict[Stamp, ShardIndex] = {}
    for place, name in enumerate(names):
        part = slice(int(bounds[place]), int(bounds[place + 1]))
        offsets, sizes, labels = kept["places"][:, part]
        size, changed = (int(number) for number in kept["stamps"][place])
        inside = (offsets >= 0) & (sizes >= 0) & (offsets + sizes <= size) & (labels >= UNKNOWN) & (labels <= MAX_LABEL)
        if inside.all() and len(members[part]) == len(labels):
            found[(name, size, changed)] = ShardIndex(
                name=name, members=members[part], offsets=offsets, sizes=sizes, labels=labels
            )
    return found
