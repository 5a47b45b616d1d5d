"""COCO's form read: the same as pycocotools reads, sent to workers in few bytes."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from coco_folders import COLUMNS, ROWS, annotation, content, crowd, write_coco
from PIL import Image
from pycocotools.coco import COCO

from lambdanets.data.annotations import read_annotations
from lambdanets.data.coco import Coco, CocoConfig
from lambdanets.data.digit_scenes import SceneConfig
from lambdanets.data.scene_folder import Outlines, write_scenes
from lambdanets.detection.evaluation import coco_scores

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools 2.0.11
EVERY = np.arange(5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("data") / "coco")


@pytest.fixture(scope="module")
def data(folder: Path) -> Coco:
    return CocoConfig(path=str(folder), image_size=96).load()


def test_standard_files_load_unchanged(data: Coco) -> None:
    assert data.notes == ()
    assert data.test is None
    assert data.validation is not None
    assert (len(data.train), len(data.validation)) == (5, 4)  # one picture to learn from shows nothing
    assert data.train.classes == ("person", "dog", "toothbrush")
    assert data.train.category_ids == (1, 18, 90)
    assert data.train.num_classes == 3
    assert data.train.name(1) == "train2017/000000000016.jpg"


def test_pictures_and_objects_are_those_that_pycocotools_reads(
    data: Coco, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = COCO(str(folder / "annotations" / "instances_train2017.json"))
    capsys.readouterr()
    batch = data.train.plain(EVERY)
    assert batch.notes == ()
    for image, target in zip(batch.images, batch.targets, strict=True):
        number = int(target["image_id"])
        picture = np.asarray(Image.open(folder / "train2017" / theirs.imgs[number]["file_name"]).convert("RGB"))
        assert np.array_equal((image * 255).round().byte().permute(1, 2, 0).numpy(), picture)
        wanted = theirs.loadAnns(theirs.getAnnIds(imgIds=[number]))
        assert target["iscrowd"].tolist() == [one["iscrowd"] for one in wanted]
        assert [data.train.category_ids[k - 1] for k in target["labels"]] == [one["category_id"] for one in wanted]
        assert np.array_equal(target["masks"].numpy(), np.stack([theirs.annToMask(one) for one in wanted]))
        corners = torch.tensor([one["bbox"] for one in wanted])
        corners[:, 2:] += corners[:, :2]
        torch.testing.assert_close(target["boxes"], corners.clamp(min=0))
        torch.testing.assert_close(target["area"], torch.tensor([one["area"] for one in wanted]))


def test_the_truth_is_perfect_by_its_own_measure_whichever_way_it_is_read(data: Coco, folder: Path) -> None:
    split = data.validation
    assert split is not None
    truth = split.truth()
    raw = json.loads((folder / "annotations" / "instances_val2017.json").read_text())
    assert {entry["id"] for entry in truth["images"]} == {entry["id"] for entry in raw["images"]}
    assert len(truth["annotations"]) == len(raw["annotations"])
    perfect = [dict(one, score=1.0) for one in raw["annotations"] if not one["iscrowd"]]
    assert coco_scores(truth, perfect, "bbox") == coco_scores(raw, perfect, "bbox")
    assert coco_scores(truth, perfect, "bbox")["AP"] == pytest.approx(1)


@pytest.mark.parametrize("outlines", ["rle", "polygons"])
def test_scenes_written_and_loaded_are_the_same_samples(outlines: Outlines, tmp_path: Path) -> None:
    config = SceneConfig(num_train=30, num_test=12)
    write_scenes(config, tmp_path / "scenes", outlines)
    read, made = CocoConfig(path=str(tmp_path / "scenes")).load(), config.load()
    assert read.notes == ()
    assert read.train.classes == made.train.classes
    assert read.train.category_ids == made.train.category_ids
    assert read.validation is not None
    for one, other in ((read.train, made.train), (read.validation, made.test)):
        mine, theirs = one.plain(np.arange(len(one))), other.plain(np.arange(len(other)))
        assert all(torch.equal(*pair) for pair in zip(mine.images, theirs.images, strict=True))
        for target, wanted in zip(mine.targets, theirs.targets, strict=True):
            assert list(target) == list(wanted)
            assert all(torch.equal(target[name], wanted[name]) for name in wanted)
        assert outlines == "polygons" or one.truth()["annotations"] == other.truth()["annotations"]


def test_a_split_that_was_sent_makes_the_same_batches(data: Coco) -> None:
    before, sent = data.train.augmented(EVERY, EVERY, 0), pickle.dumps(data.train)
    after = pickle.loads(sent).augmented(EVERY, EVERY, 0)
    assert len(sent) < 10_000
    assert all(torch.equal(*pair) for pair in zip(before.images, after.images, strict=True))
    for one, other in zip(before.targets, after.targets, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_many_objects_are_kept_and_sent_in_few_bytes(tmp_path: Path) -> None:
    """17 bytes an object, and what a picture takes; not its outline."""
    made = content(1, 40)
    made["annotations"] = [
        annotation(number + 1, made["images"][number % 40]["id"], 18, (1.5, 2.25, 20, 20)) for number in range(20_000)
    ]
    file = tmp_path / "many.json"
    file.write_text(json.dumps(made))
    annotations, faults = read_annotations(file, "many.json", lambda name: True, max_objects=1000)
    assert faults.findings == []
    assert len(annotations.labels) == 20_000
    assert len(pickle.dumps(annotations)) < 20_000 * 18 + 10_000
    assert len(annotations.read(3)) == 500
    again = pickle.loads(pickle.dumps(annotations))
    assert again.read(39) == annotations.read(39)


def test_lists_in_another_order_are_read_too(tmp_path: Path) -> None:
    made = content(1, 5)
    file = tmp_path / "a.json"
    readings = []
    for names in (("images", "annotations", "categories"), ("categories", "annotations", "images")):
        file.write_text(json.dumps({name: made[name] for name in names}, indent=1))
        annotations, faults = read_annotations(file, "a.json", lambda name: True, max_objects=10)
        assert faults.findings == []
        readings.append([annotations.read(index) for index in range(5)])
    assert readings[0] == readings[1]


def test_a_file_that_is_changed_meanwhile_is_noticed(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "c")
    split = CocoConfig(path=str(folder)).load().train
    file = folder / "annotations" / "instances_train2017.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(ValueError, match="was changed since it was read first"):
        split.plain(EVERY)
    file.unlink()
    with pytest.raises(ValueError, match="cannot be read any more"):
        split.plain(EVERY)


@pytest.mark.parametrize("way", ["plain", "augmented"])
def test_a_picture_that_cannot_be_read_keeps_its_place(way: str, tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "c")
    split = CocoConfig(path=str(folder), image_size=64).load().train
    (folder / split.name(1)).write_bytes(b"no picture")
    (folder / split.name(2)).unlink()
    Image.new("RGB", (ROWS, COLUMNS)).save(folder / split.name(3))
    batch = split.plain(EVERY) if way == "plain" else split.augmented(EVERY, EVERY, seed=0)
    assert batch.weights.tolist() == [1, 0, 0, 0, 1]
    assert [len(target["labels"]) > 0 for target in batch.targets][1:4] == [False] * 3
    assert not any(image.any() for image in batch.images[1:4])
    assert [int(target["image_id"]) for target in batch.targets] == [split.image_id(index) for index in range(5)]
    damaged, gone, turned = batch.notes
    assert damaged.startswith("train2017/000000000016.jpg is not an image")
    assert gone.startswith("train2017/000000000023.jpg cannot be read (No such file")
    assert "has 48 × 64 pixels, but its objects were drawn for 64 × 48" in turned


def test_pictures_without_objects_are_trained_on_if_asked(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "c", spoil=lambda made: made["annotations"].append(crowd(5, 44, 1)))
    without, with_all = (CocoConfig(path=str(folder), empty_pictures=every).load().train for every in (False, True))
    assert (len(without), len(with_all)) == (5, 6)
    (target,) = with_all.augmented(np.array([5]), np.array([0]), seed=0).targets
    assert (target["boxes"].shape, target["masks"].shape) == ((0, 4), (0, 1024, 1024))
    assert with_all.plain(np.array([5])).targets[0]["iscrowd"].tolist() == [1]


def test_pictures_are_held_out_by_name(folder: Path) -> None:
    config = CocoConfig(path=str(folder), holdout=0.5)
    data = config.load()
    assert data.validation is not None
    assert data.test is not None
    assert len(data.train) + len(data.validation) == 5
    assert len(data.test) == 4
    names = {split.name(index) for split in (data.train, data.validation) for index in range(len(split))}
    assert len(names) == 5
    assert len(data.validation.truth()["images"]) == len(data.validation)


def test_a_box_that_reaches_beyond_its_picture_is_cut_off(tmp_path: Path) -> None:
    def spoil(made: dict) -> None:
        made["annotations"][1]["bbox"] = [50.5, -3, 30, 100]

    split = CocoConfig(path=str(write_coco(tmp_path / "c", spoil=spoil))).load().train
    assert split.plain(np.array([0])).targets[0]["boxes"][1].tolist() == [50.5, 0, COLUMNS, ROWS]


def test_200_objects_in_one_picture(tmp_path: Path) -> None:
    boxes = [annotation(5000 + n, 16, 1, (n % 20 * 3, n // 20 * 4, 3, 4)) for n in range(200)]
    folder = write_coco(tmp_path / "c", spoil=lambda made: made["annotations"].extend(boxes))
    split = CocoConfig(path=str(folder), image_size=64, jitter=(1, 1)).load().train
    assert len(split.plain(np.array([1])).targets[0]["labels"]) == 202
    assert len(split.augmented(np.array([1]), np.array([0]), 0).targets[0]["labels"]) == 202


def test_a_picture_of_1_by_4000(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "c")
    file = folder / "annotations" / "instances_train2017.json"
    made = json.loads(file.read_text())
    made["images"][0] |= {"height": 1, "width": 4000}
    made["annotations"] = [annotation(1, 9, 1, (100, 0, 3000, 1)), *made["annotations"][3:]]
    file.write_text(json.dumps(made))
    Image.new("RGB", (4000, 1), "white").save(folder / "train2017" / f"{9:012d}.jpg")
    split = CocoConfig(path=str(folder), image_size=128).load().train
    assert split.plain(np.array([0])).images[0].shape == (3, 1, 4000)
    for epoch in range(8):
        batch = split.augmented(np.array([0]), np.array([epoch]), seed=0)
        assert batch.weights.tolist() == [1]
        assert batch.images[0].shape == (3, 128, 128)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"image_size": 8}, "data.image_size: got 8, wanted 32 to 8192"),
        ({"jitter": (2.0, 0.1)}, "data.jitter"),
        ({"flip": 2}, "data.flip"),
        ({"holdout": 1.0}, "data.holdout"),
        ({"bad_annotations": "keep"}, "wanted 'drop' or 'refuse'"),
        ({"max_objects": 0}, "data.max_objects"),
    ],
    ids=lambda wrong: str(wrong) if isinstance(wrong, dict) else "",
)
def test_numbers_out_of_range_are_refused(wrong: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CocoConfig(**wrong)


def test_no_such_data_is_refused(tmp_path: Path, folder: Path) -> None:
    for path, words in (("", "no data was named"), (str(tmp_path), "holds no annotations/instances_train.json")):
        with pytest.raises(ValueError, match=words):
            CocoConfig(path=path).load()
    only_train = write_coco(tmp_path / "c")
    (only_train / "annotations" / "instances_val2017.json").unlink()
    with pytest.raises(ValueError, match="nothing to judge on"):
        CocoConfig(path=str(only_train)).load()


def test_splits_with_other_categories_are_refused(tmp_path: Path) -> None:
    def spoil(made: dict) -> None:
        made["categories"][1]["name"] = "cat"

    with pytest.raises(ValueError, match="lists other categories"):
        CocoConfig(path=str(write_coco(tmp_path / "c", spoil=spoil))).load()
