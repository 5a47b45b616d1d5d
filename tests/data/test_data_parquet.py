"""Hugging Face data on disk: columns of any name, folders of `save_to_disk`, and what cannot be used."""

import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow
import pytest
from pyarrow.parquet import write_table

from lambdanets.data.images import ImageError
from lambdanets.data.source import available_splits, examine_source, open_source

datasets.disable_progress_bars()
PICTURES = [b"picture %d" % number for number in range(4)]


def table(pictures: str = "image", labels: str = "label", **columns: list) -> dict[str, list]:
    cells = [{"bytes": content, "path": None} for content in PICTURES]
    return {pictures: cells, labels: [0, 1, 2, 1]} | columns


def write(file: Path, columns: dict[str, list]) -> Path:
    """A parquet file as pandas would write it: without what Hugging Face says of the columns."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_table(pyarrow.Table.from_pydict(columns), file)
    return file


def hub_dataset(names: list[str] | None = None) -> datasets.Dataset:
    kind = datasets.ClassLabel(names=names) if names else datasets.Value("int64")
    features = datasets.Features(image=datasets.Image(), label=kind)
    return datasets.Dataset.from_dict(table(), features=features)


def read_all(path: Path, split: str | None = None) -> list[bytes]:
    source = open_source(path, split)
    return [source.read(index) for index in range(len(source))]


@pytest.mark.parametrize(
    "name", ["train.parquet", "data/train-00000-of-00001.parquet", "default/train/0000.parquet", "train/x.parquet"]
)
def test_files_are_found_where_the_hub_keeps_them(name: str, tmp_path: Path) -> None:
    write(tmp_path / name, table())
    assert available_splits(tmp_path) == ("train",)
    assert read_all(tmp_path) == PICTURES
    assert open_source(tmp_path).classes == ("0", "1", "2")


@pytest.mark.parametrize(
    "columns",
    [
        table("img", "fine_label"), table("picture", "labels", image_id=[5, 6, 7, 8]), table("my pictures"),
        {"image": PICTURES, "label": [0, 1, 2, 1]},
    ],
    ids=["cifar", "ids", "other-name", "bytes"],
)  # fmt: skip
def test_columns_may_have_other_names(columns: dict[str, list], tmp_path: Path) -> None:
    write(tmp_path / "one.parquet", columns)
    assert read_all(tmp_path) == PICTURES
    assert open_source(tmp_path / "one.parquet").labels.tolist() == [0, 1, 2, 1]


def test_folders_of_save_to_disk_are_opened(tmp_path: Path) -> None:
    names = ["ape", "bee", "cat"]
    both = datasets.DatasetDict({"train": hub_dataset(names), "validation": hub_dataset(names).select([2, 0])})
    both.save_to_disk(str(tmp_path / "both"))
    hub_dataset(names).save_to_disk(str(tmp_path / "one"))
    assert available_splits(tmp_path / "both") == ("train", "val")
    assert read_all(tmp_path / "both", "val") == [PICTURES[2], PICTURES[0]]
    assert open_source(tmp_path / "both", "val").labels.tolist() == [2, 0]
    assert available_splits(tmp_path / "one") == ()
    assert open_source(tmp_path / "one").classes == ("ape", "bee", "cat")


def test_all_splits_agree_on_the_number_of_classes(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", table())
    write(tmp_path / "test.parquet", {name: cells[:2] for name, cells in table().items()})
    assert open_source(tmp_path, "test").classes == ("0", "1", "2")


def test_a_file_that_has_changed_is_read_anew(tmp_path: Path) -> None:
    file = write(tmp_path / "train.parquet", table())
    assert read_all(tmp_path) == PICTURES
    columns = table()
    columns["image"].reverse()
    write(file, columns)
    assert read_all(tmp_path) == PICTURES[::-1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [0, 1], "text": ["a", "b"]}, r"no column of images in .*only label, text: rename the column"),
        ({"image": PICTURES}, r"no column of labels in .*, only image: rename the column of whole numbers to 'label'"),
        ({"image": PICTURES, "label": ["a", "b", "a", "b"]}, r"no column of labels"),
        ({"image": PICTURES, "label": [0, 1, None, 1]}, r"row 2 has no label, while others have one"),
        ({"image": PICTURES, "label": [0, 1, -7, 1]}, r"row 2 has the label '-7'"),
        ({"image": PICTURES, "label": [0, 3, 1, 1]}, r"has no image with label 2, though labels go from 0 to 3"),
        ({"image": PICTURES, "label": [0, 0, 0, 0]}, r"has one class only"),
    ],
    ids=["no-image", "no-label", "text-label", "null-label", "negative", "gap", "one-class"],
)
def test_what_cannot_be_trained_on_is_one_sentence(columns: dict[str, list], message: str, tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", columns)
    with pytest.raises(ValueError, match=message) as raised:
        open_source(tmp_path)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("size", [0, 100, 700], ids=["empty", "header", "cut"])
def test_a_damaged_file_is_one_sentence(size: int, tmp_path: Path) -> None:
    file = write(tmp_path / "train.parquet", table())
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"cannot be read as a data set \(.*\): fetch or write it again"):
        open_source(tmp_path)


def test_a_table_may_name_pictures_beside_it_but_no_others(tmp_path: Path) -> None:
    inside, outside = tmp_path / "data" / "pictures", tmp_path / "secret.png"
    inside.mkdir(parents=True)
    (inside / "1.dat").write_bytes(b"mine")
    outside.write_bytes(b"secret")
    (inside / "link.dat").symlink_to(outside)
    paths = ["pictures/1.dat", "../secret.png", str(outside), "pictures/link.dat", None]
    cells = [{"bytes": None, "path": path} for path in paths]
    write(tmp_path / "data" / "train.parquet", {"image": cells, "label": [0, 1, 0, 1, 0]})
    source = open_source(tmp_path / "data")
    assert source.read(0) == b"mine"
    for index in (1, 2, 3):
        with pytest.raises(ImageError, match="names a file outside the data set"):
            source.read(index)
    with pytest.raises(ImageError, match="row 4 holds no picture"):
        source.read(4)


def test_without_the_library_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", table())
    program = (
        "import sys; from pathlib import Path; sys.modules['datasets'] = None\n"
        "from lambdanets.data.source import open_source\n"
        "try: open_source(Path(sys.argv[1]))\n"
        "except ValueError as error: print(error)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert "which is not installed: pip install 'lambdanets[data]'." in ended.stdout


def test_nothing_is_asked_of_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was begun")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    write(tmp_path / "train.parquet", table())
    assert read_all(tmp_path) == PICTURES


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    hub_dataset(["ape", "bee", "cat", "dog"]).save_to_disk(str(tmp_path / "one"))
    _, findings = examine_source(tmp_path / "one", "")
    assert [finding.kind for finding in findings] == ["empty-class"]
    assert "class dog" in findings[0].where
