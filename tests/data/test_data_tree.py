"""Trees as people have them: loose files, links, hidden files, classes that differ between splits."""

import os
from pathlib import Path

import pytest
from PIL import Image

from lambdanets.data import tree
from lambdanets.data.images import ImageError
from lambdanets.data.source import available_splits, examine_source, open_source


def plant(root: Path, *names: str) -> Path:
    """A folder with a picture under each name, every picture of another size."""
    for width, name in enumerate(names, start=1):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (width, 3)).save(root / name, "PNG")
    return root


def names_of(path: Path, split: str | None = None) -> list[str]:
    source = open_source(path, split)
    return [source.name(index) for index in range(len(source))]


def test_what_is_hidden_or_no_picture_is_passed_over(tmp_path: Path) -> None:
    plant(tmp_path, "ape/1.png", "bee/2.JPEG", "ape/.3.png", ".cache/x.png", "ape/deep/er/0.png")
    (tmp_path / "ape" / "notes.txt").write_text("three apes")
    assert names_of(tmp_path) == ["ape/1.png", "bee/2.JPEG", "ape/deep/er/0.png"]


def test_folders_named_as_splits_can_be_classes(tmp_path: Path) -> None:
    plant(tmp_path, "test/1.png", "exam/2.png")
    assert available_splits(tmp_path) == ()
    assert open_source(tmp_path).classes == ("exam", "test")


def test_two_names_for_one_split_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.png", "val/a/1.png", "validation/a/1.png")
    with pytest.raises(ValueError, match="holds val and validation, which both mean val: keep one"):
        available_splits(tmp_path)


def test_a_plain_folder_is_a_pool_without_labels(tmp_path: Path) -> None:
    source = open_source(plant(tmp_path, "1.png", "2.png"))
    assert source.classes == ()
    assert source.labels.tolist() == [-1, -1]
    assert source.read(1) == (tmp_path / "2.png").read_bytes()


def test_a_split_may_be_a_pool_among_labelled_ones(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.png", "train/b/2.png", "test/3.png")
    assert open_source(tmp_path, "test").classes == ()
    assert open_source(tmp_path, "train").classes == ("a", "b")


def test_pictures_beside_classes_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.png", "b/2.png", "loose.png", "loser.png")
    with pytest.raises(ValueError, match=r"loose.png lies beside folders of classes, as 1 more do: move it"):
        open_source(tmp_path)


def test_a_class_that_is_not_learned_is_refused(tmp_path: Path) -> None:
    """torchvision would number the classes of each split by themselves: every label of val would be wrong."""
    plant(tmp_path, "train/b/1.png", "train/c/2.png", "val/a/3.png", "val/b/4.png", "val/c/4.png")
    assert open_source(tmp_path, "train").classes == ("b", "c")
    with pytest.raises(ValueError, match="val/a is a class that the training split, with its 2, does not have: rename"):
        open_source(tmp_path, "val")


def test_a_split_that_lacks_classes_keeps_their_numbers(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.png", "train/b/2.png", "train/c/3.png", "val/c/4.png", "val/b/4.png")
    source, findings = examine_source(tmp_path, "val")
    assert source.labels.tolist() == [1, 2]
    assert findings == []


def test_every_empty_class_is_named(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.png", "train/b/2.png")
    (tmp_path / "train" / "c").mkdir()
    (tmp_path / "train" / "d").mkdir()
    with pytest.raises(
        ValueError, match=r"train/c holds no image: .* \(1 more: `lambdanets data check` lists them\.\)"
    ):
        open_source(tmp_path, "train")


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.png", "train/b/2.png")
    (tmp_path / "val").mkdir()
    with pytest.raises(ValueError, match="holds no image in val"):
        open_source(tmp_path, "val")


def test_links_are_followed_but_in_no_circle(tmp_path: Path) -> None:
    plant(tmp_path, "data/a/1.png", "data/b/2.png", "elsewhere/3.png")
    (tmp_path / "data" / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "b" / "again").symlink_to(tmp_path / "data" / "b")
    assert names_of(tmp_path / "data") == ["a/1.png", "b/2.png", "a/more/3.png"]


@pytest.mark.parametrize(
    "name", ["ä 1.png", "two\nlines.png", b"\xff.png".decode("utf-8", "surrogateescape")], ids=ascii
)
def test_any_name_is_read(name: str, tmp_path: Path) -> None:
    plant(tmp_path, "b/1.png", f"a/{name}")
    source = open_source(tmp_path)
    place = next(index for index in range(2) if source.name(index) == f"a/{name}")
    assert source.read(place) == (tmp_path / "a" / name).read_bytes()


def test_a_file_that_vanishes_is_an_error_about_it(tmp_path: Path) -> None:
    source = open_source(plant(tmp_path, "a/1.png", "b/2.png"))
    (tmp_path / "a" / "1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"a/1\.png"):
        source.read(0)


def test_what_would_never_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "a/4.png")
    os.mkfifo(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "2.png").symlink_to("/dev/zero")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "3.png").write_bytes(bytes(1001))
    monkeypatch.setattr(tree, "MAX_BYTES", 1000)
    source = open_source(tmp_path)
    for index, message in enumerate(["not a regular file", "not a regular file", "1,001 bytes, wanted 1,000 at most"]):
        with pytest.raises(ImageError, match=message):
            source.read(index)
    assert source.read(3)
