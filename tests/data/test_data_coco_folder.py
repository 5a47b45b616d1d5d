"""A folder in COCO's form as a whole: its pictures, as they are and where they lie, and its files beside each other."""

from pathlib import Path

import numpy as np
import pytest
from coco_folders import COLUMNS, ROWS, write_coco
from PIL import ExifTags, Image

from lambdanets.cli import main
from lambdanets.data.check import check_data
from lambdanets.data.coco import CocoConfig
from lambdanets.data.stored import StoredConfig


def test_a_broken_picture_and_one_of_another_size(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "c")
    (folder / "train2017" / f"{9:012d}.jpg").write_bytes(b"no picture")
    Image.new("RGB", (ROWS, COLUMNS), "red").save(folder / "train2017" / f"{16:012d}.jpg")
    graves = {finding.kind: finding for finding in check_data(folder).findings if not finding.note}
    assert set(graves) == {"broken", "other-size"}
    assert graves["other-size"].where == f"train2017/{16:012d}.jpg"
    assert graves["other-size"].what == "has 48 × 64 pixels, but its objects were drawn for 64 × 48"


def test_a_picture_that_its_metadata_turns_is_measured_upright(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "c")
    metadata = Image.Exif()
    metadata[ExifTags.Base.Orientation] = 6
    noise = Image.effect_noise((ROWS, COLUMNS), 50).convert("RGB")
    noise.save(folder / "train2017" / f"{16:012d}.jpg", exif=metadata)
    assert check_data(folder).well
    assert CocoConfig(path=str(folder)).load().train.plain(np.array([1]))[2].tolist() == [1]


def test_the_same_picture_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "c")
    taught, judged = (next(iter(sorted((folder / name).iterdir()))) for name in ("train2017", "val2017"))
    judged.write_bytes(taught.read_bytes())
    (finding,) = [finding for finding in check_data(folder).findings if not finding.note]
    assert finding.kind == "leak"


def test_a_folder_without_pictures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_coco(tmp_path / "c")
    (folder / "val2017").rename(folder / "elsewhere")
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", str(folder)])
    assert ended.value.code == 2
    assert "val2017 cannot be read (No such file or directory)" in capsys.readouterr().err.replace("\n", " ")


def test_two_files_of_a_split_are_refused(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "c")
    (folder / "annotations" / "instances_train2014.json").write_text("{}")
    with pytest.raises(ValueError, match="which both mean train"):
        check_data(folder)


def test_pictures_may_lie_in_images(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "c")
    (folder / "images").mkdir()
    for name in ("train2017", "val2017"):
        (folder / name).rename(folder / "images" / name)
    assert check_data(folder).well
    assert CocoConfig(path=str(folder)).load().train.plain(np.array([0])).notes == ()


def test_a_classifier_is_not_taught_with_it(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "c")
    with pytest.raises(ValueError, match="is in COCO's form, with objects to be found"):
        StoredConfig(path=str(folder)).load()
