"""The digit scenes: the same to the bit wherever they are made, split by hands and pixels, whole in COCO's form."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lambdanets.data import digit_scenes
from lambdanets.data.digit_scenes import SceneConfig, Scenes, SceneSplit, photo_halves
from lambdanets.data.masks import decode_segmentation
from lambdanets.data.objects import tight_boxes
from lambdanets.data.scene_folder import Outlines, write_scenes
from lambdanets.data.scene_variation import SceneVariation

FEW = SceneConfig(num_train=40, num_test=16)
TEN = np.arange(10)
SUM = "63c7e5f9aca85808198aad7d9bae10c539b3e7f9d284a3974b38855de6cffc0a"
"""Of the scenes of FEW: another sum means that other scenes are drawn, and measured scores are of other data."""


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return FEW.load()


def digest(scenes: Scenes) -> str:
    total = hashlib.sha256()
    for split in (scenes.train, scenes.test):
        for part in (split.images, split.masks, split.digits):
            total.update(part.numpy().tobytes())
    return total.hexdigest()


def test_scenes_are_the_same_to_the_bit(scenes: Scenes) -> None:
    assert digest(scenes) == SUM


def test_a_scene_does_not_depend_on_the_others(scenes: Scenes) -> None:
    fewer = SceneConfig(num_train=7, num_test=3).load()
    assert torch.equal(fewer.train.images, scenes.train.images[:7])
    assert torch.equal(fewer.test.images, scenes.test.images[:3])


def test_another_seed_makes_others(scenes: Scenes) -> None:
    others = replace(FEW, scene_seed=1, num_train=8, num_test=1).load()
    assert not any(
        torch.equal(one, other) for one, other in zip(others.train.images, scenes.train.images, strict=False)
    )


def test_a_scene_holds_one_to_three_digits_of_the_size_asked_for(scenes: Scenes) -> None:
    split = scenes.train
    counts = np.diff(split.ends, prepend=0)
    assert set(counts.tolist()) == {1, 2, 3}
    assert split.ends[-1] == len(split.digits) == len(split.masks)
    assert split.digits.unique().tolist() == list(range(10))
    boxes = tight_boxes(split.masks)
    sides = (boxes[:, 2:] - boxes[:, :2]).amax(1)
    assert 10 < sides.min() < 24
    assert 40 < sides.max() <= 56 * 1.3


def test_digits_hide_less_of_each_other_than_allowed() -> None:
    config = SceneConfig(num_train=60, num_test=1, overlap=0.1)
    alone = replace(config, overlap=0.0).load().train
    split = config.load().train
    assert not np.array_equal(split.ends, alone.ends) or not torch.equal(split.masks, alone.masks)  # some do overlap
    for part in (split, alone):
        for index in range(len(part)):
            assert part.objects(index).masks.sum(0).max() == 1  # a pixel belongs to one digit


def test_hands_and_pixels_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    halves = photo_halves()
    assert {part.shape for half in halves.values() for part in half} == {(427, 320, 3)}
    asked: list[tuple[str, tuple[int, ...], np.ndarray]] = []
    load, draw = digit_scenes.load_split, digit_scenes.draw_scene
    monkeypatch.setattr(
        digit_scenes, "load_split", lambda forms, config: asked.append(tuple(forms)) or load(forms, config)
    )
    photos: dict[int, set[int]] = {}

    def drawn(scans, photo, sizes, place):
        photos.setdefault(place[1], set()).add(int(photo.astype(np.int64).sum()))
        return draw(scans, photo, sizes, place)

    monkeypatch.setattr(digit_scenes, "draw_scene", drawn)
    SceneConfig(num_train=4, num_test=4, num_validation=4, validation_forms=(3, 13)).load()
    train, validation, test = (set(forms) for forms in asked)
    assert validation == {3, 13}
    assert train == {0, 1, 2, 4, 5, 6, 7, 8}
    assert test == {9, 10, 11, 12}
    sums = {name: {int(part.astype(np.int64).sum()) for part in half} for name, half in halves.items()}
    assert photos[0] == photos[1] == sums["train"]
    assert photos[2] == sums["test"]
    assert not sums["train"] & sums["test"]


def test_plain_batches_hold_the_scenes(scenes: Scenes) -> None:
    batch = scenes.test.plain(TEN)
    assert [image.shape for image in batch.images] == [(3, 96, 96)] * 10
    assert batch.weights.tolist() == [1] * 10
    assert [int(target["image_id"]) for target in batch.targets] == list(range(1, 11))
    for image, target, pixels in zip(batch.images, batch.targets, scenes.test.images, strict=False):
        assert torch.equal((image * 255).round().byte(), pixels)
        assert torch.equal(target["boxes"], tight_boxes(target["masks"]))
        assert torch.equal(target["area"], target["masks"].sum((1, 2)).float())
        assert target["labels"].min() >= 1


def test_variation_is_a_function_of_seed_epoch_and_index(scenes: Scenes) -> None:
    epochs = np.full(10, 4)
    batch = scenes.train.augmented(TEN, epochs, seed=5)
    alone = scenes.train.augmented(TEN[7:8], epochs[:1], seed=5)
    assert torch.equal(alone.images[0], batch.images[7])
    assert torch.equal(alone.targets[0]["masks"], batch.targets[7]["masks"])
    for other in (scenes.train.augmented(TEN, epochs, seed=6), scenes.train.augmented(TEN, epochs + 1, seed=5)):
        assert not any(torch.equal(*pair) for pair in zip(batch.images, other.images, strict=True))


def test_varied_masks_stay_on_their_digits() -> None:
    """A scene whose only bright pixels are those of a mask: after any variation they still are."""
    split = SceneConfig(num_train=12, num_test=1, variation=SceneVariation(colour=0, flip=0.5)).load().train
    seen = torch.stack([split.objects(index).masks.amax(0) for index in range(12)])
    drawn = replace(split, images=(seen * 255)[:, None].expand(-1, 3, -1, -1).contiguous())
    for epoch in range(5):
        batch = drawn.augmented(np.arange(12), np.full(12, epoch), seed=0)
        for image, target in zip(batch.images, batch.targets, strict=True):
            bright, marked = (
                image[0] > 0.5,
                target["masks"].amax(0) > 0 if len(target["masks"]) else torch.zeros(96, 96),
            )
            inside = (bright & (marked > 0)).sum() / max(1, int((marked > 0).sum()))
            assert inside > 0.9 or not marked.any()
            assert ((target["boxes"][:, 2:] - target["boxes"][:, :2]) >= 1).all()


def test_without_variation_a_scene_is_seen_as_it_is(scenes: Scenes) -> None:
    still = replace(scenes.train, variation=SceneVariation(rotation=0, scaling=0, translation=0, colour=0))
    varied, plain = still.augmented(TEN, TEN, seed=0), still.plain(TEN)
    for one, other, mine, theirs in zip(varied.images, plain.images, varied.targets, plain.targets, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=0)  # coordinates of −1…1 in float32: 1e-5 of a pixel
        assert torch.equal(mine["masks"], theirs["masks"])


def test_what_is_shifted_out_is_not_taught() -> None:
    far = SceneVariation(rotation=0, scaling=0, translation=1)
    split = SceneConfig(num_train=12, num_test=1, variation=far).load().train
    targets = [split.augmented(np.arange(12), np.full(12, epoch), 0).targets for epoch in range(4)]
    left = [len(target["labels"]) for batch in targets for target in batch]
    assert 0 in left
    assert max(left) > 0


@pytest.mark.parametrize("outlines", ["rle", "polygons"])
def test_the_folder_holds_the_same_scenes(outlines: Outlines, tmp_path: Path) -> None:
    config = SceneConfig(num_train=6, num_test=4)
    assert write_scenes(config, tmp_path / "scenes", outlines) == {"train": 6, "val": 4}
    for name, split in (("train", config.load().train), ("val", config.load().test)):
        truth = json.loads((tmp_path / "scenes" / "annotations" / f"instances_{name}.json").read_text())
        assert [entry["name"] for entry in truth["categories"]] == list("0123456789")
        for index, entry in enumerate(truth["images"]):
            pixels = np.asarray(Image.open(tmp_path / "scenes" / name / entry["file_name"]))
            assert np.array_equal(pixels, split.images[index].permute(1, 2, 0).numpy())
            own = [one for one in truth["annotations"] if one["image_id"] == entry["id"]]
            masks = [decode_segmentation(one["segmentation"], 96, 96) for one in own]
            assert np.array_equal(np.stack(masks), split.objects(index).masks.numpy())
            assert [one["category_id"] for one in own] == split.objects(index).labels.tolist()


def test_a_folder_that_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not an empty folder"):
        write_scenes(FEW, tmp_path)
    with pytest.raises(ValueError, match="holds no scenes"):
        SceneConfig(num_train=1, num_test=1, folder=str(tmp_path)).load()


def test_loading_keeps_the_scenes_once(tmp_path: Path) -> None:
    config = SceneConfig(num_train=2, num_test=2, folder=str(tmp_path / "kept"))
    config.load()
    written = (tmp_path / "kept" / "val" / "000002.png").stat().st_mtime_ns
    config.load()
    assert (tmp_path / "kept" / "val" / "000002.png").stat().st_mtime_ns == written
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kept"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"image_size": 20}, "data.image_size: got 20, wanted 32 to 320"),
        ({"num_train": 0}, "data.num_train"),
        ({"largest": 90}, "data.largest: got 90, wanted 10 to 64"),
        ({"smallest": 60}, "data.smallest"),
        ({"overlap": 1.0}, "data.overlap"),
        ({"validation_forms": (9,)}, "data.validation_forms"),
        ({"scene_seed": -1}, "data.scene_seed"),
    ],
    ids=lambda wrong: str(wrong) if isinstance(wrong, dict) else "",
)
def test_numbers_out_of_range_are_refused(wrong: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SceneConfig(**wrong)


def test_variation_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data.variation.scaling: got 2, wanted 0 to 0.9"):
        SceneVariation(scaling=2)


def test_other_sizes() -> None:
    split: SceneSplit = SceneConfig(image_size=320, num_train=2, num_test=1, largest=200).load().train
    assert split.images.shape == (2, 3, 320, 320)
