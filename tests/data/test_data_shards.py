"""Tar shards as people have them, whole and damaged; where pictures lie is looked up once."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from lambdanets.data import shards, tar_index
from lambdanets.data.images import ImageError
from lambdanets.data.source import available_splits, examine_source, open_source

PICTURE = b"\x89PNG and so on "


def pack(file: Path, members: dict[str, bytes | str], *, form: int = tarfile.PAX_FORMAT) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w", format=form) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            content = content.encode() if isinstance(content, str) else content
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file


def sample(number: int, label: object) -> dict[str, bytes | str]:
    return {f"{number:04d}.jpg": PICTURE + bytes([number]), f"{number:04d}.cls": str(label)}


def shard(*labels: object, first: int = 0) -> dict[str, bytes | str]:
    return {
        name: content for place, label in enumerate(labels) for name, content in sample(first + place, label).items()
    }


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_of_any_length_and_kind_of_label_are_read(form: int, tmp_path: Path) -> None:
    long = f"{'deep/' * 12}{'n' * 90}"
    members = {
        "a.PNG": PICTURE + b"a", "a.cls": "1\n", "a.txt": "a caption",
        "b/b.webp": PICTURE + b"b", "b/b.json": '{"label": 0, "text": "x"}',
        f"{long}.jpeg": PICTURE + b"c", f"{long}.json": '{"label": "1"}',
    }  # fmt: skip
    pack(tmp_path / "set-train-00.tar", members, form=form)
    source = open_source(tmp_path)
    assert source.labels.tolist() == [1, 0, 1]
    assert source.classes == ("0", "1")
    assert [source.read(index)[-1:] for index in range(3)] == [b"a", b"b", b"c"]
    assert source.name(2) == f"set-train-00.tar:{long}.jpeg"


def test_splits_are_told_by_names_or_folders(tmp_path: Path) -> None:
    for name in ("a/imagenet-train-0000.tar", "a/imagenet-validation-0000.tar", "b/train/0.tar", "b/val/0.tar"):
        pack(tmp_path / name, shard(0, 1))
    pack(tmp_path / "c" / "0.tar", shard(0, 1))
    assert [available_splits(tmp_path / name) for name in "abc"] == [("train", "val"), ("train", "val"), ()]
    assert open_source(tmp_path / "b", "val").name(0) == "val/0.tar:0000.jpg"
    assert len(open_source(tmp_path / "c" / "0.tar")) == 2


def test_a_shard_that_tells_no_split_among_others_is_refused(tmp_path: Path) -> None:
    pack(tmp_path / "train-0.tar", shard(0, 1))
    pack(tmp_path / "more-0.tar", shard(0, 1))
    with pytest.raises(ValueError, match=r"more-0.tar does not tell its split.*wanted names such as train-000000.tar"):
        open_source(tmp_path, "train")


def test_classes_have_names_where_a_file_names_them(tmp_path: Path) -> None:
    pack(tmp_path / "train-0.tar", shard(0, 1))
    (tmp_path / "classes.txt").write_text("ape\nbee\n")
    assert open_source(tmp_path).classes == ("ape", "bee")
    (tmp_path / "classes.txt").write_text("ape\nape\n")
    with pytest.raises(ValueError, match="names a class twice"):
        open_source(tmp_path)
    (tmp_path / "classes.txt").write_text("ape\n")
    with pytest.raises(ValueError, match=r"classes.txt names 1 classes, but there are labels up to 1"):
        open_source(tmp_path)
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe\n")
    with pytest.raises(ValueError, match="is no text in UTF-8"):
        open_source(tmp_path)


def test_all_splits_agree_on_the_number_of_classes(tmp_path: Path) -> None:
    pack(tmp_path / "train-0.tar", shard(0, 1, 2))
    pack(tmp_path / "val-0.tar", shard(1, 0))
    assert open_source(tmp_path, "val").classes == ("0", "1", "2")


def test_shards_without_any_label_are_a_pool(tmp_path: Path) -> None:
    pack(tmp_path / "0.tar", {"a.jpg": PICTURE, "b.jpg": PICTURE})
    source = open_source(tmp_path)
    assert source.classes == ()
    assert source.labels.tolist() == [-1, -1]


def garbled(path: Path, where: int) -> None:
    content = bytearray(path.read_bytes())
    content[where : where + 100] = b"\x07" * 100
    path.write_bytes(content)


def cut(path: Path, size: int) -> None:
    os.truncate(path, size)


@pytest.mark.parametrize(
    ("damage", "reason", "left"),
    [
        (lambda path: garbled(path, 4 * 1024), r"no header at byte 4,096", 2),
        (lambda path: garbled(path, 0), r"damaged tar file", 0),
        (lambda path: cut(path, 4 * 1024 + 514), r"unexpected end of data", 2),
        (lambda path: cut(path, 4 * 1024 + 100), r"no header at byte 4,096", 2),
        (lambda path: cut(path, 4 * 1024), r"it ends without the mark of its end", 2),
        (lambda path: path.write_bytes(path.read_bytes() + path.read_bytes()), r"something follows the mark", 4),
        (lambda path: path.write_bytes(b""), r"damaged tar file", 0),
        (lambda path: path.write_bytes(b"<html>404 not found</html>"), r"damaged tar file", 0),
    ],
    ids=["header", "first-header", "cut-in-picture", "cut-in-header", "cut-between", "joined", "empty", "no-tar"],
)
def test_damage_is_named_and_what_is_ahead_of_it_is_left(damage, reason: str, left: int, tmp_path: Path) -> None:
    """Python's tarfile itself ends without a word where a header makes no sense."""
    path = pack(tmp_path / "train-0.tar", shard(0, 1, 0, 1))
    damage(path)
    with pytest.raises(ValueError, match=r"train-0.tar is a damaged tar file \(.*\): fetch it again"):
        open_source(tmp_path)
    source, findings = examine_source(tmp_path, "train")
    assert reason in str(findings[0])
    assert len(source) == left
    assert [source.read(index)[:-1] for index in range(left)] == [PICTURE] * left


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({**shard(0, 1), "x.jpg": PICTURE}, r"train-0.tar:x.jpg has no label, while others have one: label it"),
        ({**shard(0, 1), "x.cls": "0"}, r"train-0.tar:x has a label but no picture"),
        ({**shard(0, 1), "0000.png": PICTURE}, r"train-0.tar:0000.png is a second picture .* beside 0000.jpg"),
        (shard(0, 1, 3), r"has no image with label 2, though labels go from 0 to 3: number the classes anew"),
        (shard(0, 0), r"has one class only, '0': wanted two or more"),
        (shard(0, 1, "ape"), r"0002.cls has the label 'ape': wanted a whole number"),
        (shard(0, 1, -2), r"has the label '-2'"),
        (shard(0, 1, 10**11), r"has the label '100000000000'"),
        (shard(0, 1, "9" * 5000), r"has the label '9{40}'"),
        (shard(0, 1, ""), r"has the label 'nothing'"),
        ({**shard(0, 1), "x.jpg": PICTURE, "x.json": "{"}, r"x.json has the label '\{'"),
        ({**shard(0, 1), "x.jpg": PICTURE, "x.json": "[" * 10**5}, r"x.json has the label"),
        ({**shard(0, 1), "x.jpg": PICTURE, "x.json": '{"text": 1}'}, r"x.jpg has no label"),
    ],
    ids=["no-label", "no-picture", "two-pictures", "gap", "one-class", "text", "negative", "huge", "endless", "empty",
         "no-json", "deep-json", "json-without"],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_one_sentence(members: dict[str, bytes], message: str, tmp_path: Path) -> None:
    pack(tmp_path / "train-0.tar", members)
    with pytest.raises(ValueError, match=message) as raised:
        open_source(tmp_path)
    assert len(str(raised.value).splitlines()) == 1


def test_a_gap_in_the_numbers_of_shards_is_noted(tmp_path: Path) -> None:
    for number in (0, 1, 3, 5):
        pack(tmp_path / f"train-{number:06d}.tar", shard(0, 1))
    _, findings = examine_source(tmp_path, "train")
    assert [(finding.kind, finding.note) for finding in findings] == [("shard-gap", True)]
    assert "lack 2 of the numbers to 5, the first 2" in str(findings[0])
    assert len(open_source(tmp_path)) == 8


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The shards that are read from end to end."""
    read, seen = tar_index.read_index, []
    monkeypatch.setattr(tar_index, "read_index", lambda file, name: seen.append(name) or read(file, name))
    return seen


def test_a_shard_is_read_through_once_and_again_when_it_has_changed(tmp_path: Path, reads: list[str]) -> None:
    for number in (0, 1):
        pack(tmp_path / f"train-{number}.tar", shard(0, 1))
    first = open_source(tmp_path)
    again = open_source(tmp_path)
    assert reads == ["train-0.tar", "train-1.tar"]
    assert [again.name(index) for index in range(4)] == [first.name(index) for index in range(4)]
    assert again.labels.tolist() == first.labels.tolist()
    pack(tmp_path / "train-1.tar", shard(1, 0, 1))
    assert open_source(tmp_path).labels.tolist() == [0, 1, 1, 0, 1]
    assert reads[2:] == ["train-1.tar"]


@pytest.mark.parametrize("spoil", ["nothing", "text", "cut", "flipped", "beyond"])
def test_an_index_that_is_damaged_is_made_anew(spoil: str, tmp_path: Path, reads: list[str]) -> None:
    pack(tmp_path / "train-0.tar", shard(0, 1))
    open_source(tmp_path)
    cache = tmp_path / ".lambdanets-index.npz"
    content = cache.read_bytes()
    middle = len(content) // 2
    spoilt = {
        "nothing": b"", "text": b"hello", "cut": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
    }  # fmt: skip
    if spoil in spoilt:
        cache.write_bytes(spoilt[spoil])
    else:
        kept = {name: array.copy() for name, array in np.load(cache).items()}
        kept["places"][0, 0] = 10**9
        np.savez(cache, **kept)
    source = open_source(tmp_path)
    assert reads == ["train-0.tar"] * 2
    assert source.read(1) == PICTURE + b"\x01"


def test_a_shard_that_shrinks_or_vanishes_is_an_error_about_it(tmp_path: Path) -> None:
    for number in (0, 1):
        pack(tmp_path / f"train-{number}.tar", shard(0, 1))
    source = open_source(tmp_path)
    cut(tmp_path / "train-0.tar", 600)
    with pytest.raises(ImageError, match=r"train-0.tar:0001.jpg is cut off: fetch its shard again"):
        source.read(1)
    (tmp_path / "train-1.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"train-1\.tar"):
        source.read(2)


def test_a_picture_that_would_fill_the_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(tmp_path / "train-0.tar", shard(0, 1))
    monkeypatch.setattr(shards, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match="wanted 10 at most"):
        open_source(tmp_path).read(0)


def test_more_shards_than_may_be_open_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        pack(tmp_path / f"train-{number}.tar", shard(0, 1, first=10 * number))
    monkeypatch.setattr(shards, "_MOST_OPEN", 2)
    source = open_source(tmp_path)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(3):
        assert [source.read(index)[-1] for index in range(12)] == [10 * (index // 2) + index % 2 for index in range(12)]
    assert not before or len(os.listdir("/proc/self/fd")) == before + 2
