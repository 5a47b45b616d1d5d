"""COCO's form varied by large-scale jitter: by chance of its own, picture and objects alike."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from coco_folders import COLUMNS, ROWS, annotation, write_coco
from PIL import Image

from lambdanets.data.coco import CocoConfig
from lambdanets.data.objects import tight_boxes

EVERY = np.arange(5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("data") / "coco")


def test_variation_is_a_function_of_seed_epoch_and_index(folder: Path) -> None:
    split = CocoConfig(path=str(folder), image_size=96).load().train
    epochs = np.full(5, 2)
    batch = split.augmented(EVERY, epochs, seed=3)
    alone = split.augmented(EVERY[4:], epochs[4:], seed=3)
    assert torch.equal(batch.images[4], alone.images[0])
    assert all(torch.equal(batch.targets[4][name], part) for name, part in alone.targets[0].items())
    for other in (split.augmented(EVERY, epochs, seed=4), split.augmented(EVERY, epochs + 1, seed=3)):
        assert not any(torch.equal(*pair) for pair in zip(batch.images, other.images, strict=True))


def test_varied_objects_stay_on_what_is_seen_of_them(folder: Path) -> None:
    split = CocoConfig(path=str(folder), image_size=96).load().train
    seen = 0
    for epoch in range(20):
        batch = split.augmented(EVERY, np.full(5, epoch), seed=0)
        assert {image.shape for image in batch.images} == {(3, 96, 96)}
        for target in batch.targets:
            boxes, tight = target["boxes"], tight_boxes(target["masks"])
            assert not target["iscrowd"].any()
            assert ((boxes[:, 2:] - boxes[:, :2]) >= 1).all()
            assert ((boxes >= 0) & (boxes <= 96)).all()
            assert ((boxes - tight).abs() <= 2.01).all()  # pixels of the largest scale are half of the picture's
            seen += len(boxes)
    assert seen > 80


def test_a_picture_and_its_masks_go_through_the_same_window(tmp_path: Path) -> None:
    """A picture that is white where its object is: after any jitter it still is."""
    write_coco(tmp_path / "c")
    file = tmp_path / "c" / "annotations" / "instances_train2017.json"
    made = json.loads(file.read_text())
    made["annotations"] = [annotation(5, 9, 1, (20, 10, 30, 22)), annotation(6, 16, 1, (1, 30, 30, 17))]
    for picture, (left, top, width, height) in ((9, (20, 10, 30, 22)), (16, (1, 30, 30, 17))):
        pixels = np.zeros((ROWS, COLUMNS, 3), dtype=np.uint8)
        pixels[top : top + height, left : left + width] = 255
        Image.fromarray(pixels).save(tmp_path / "c" / "train2017" / f"{picture:012d}.png")
    made["images"] = [dict(one, file_name=one["file_name"].replace("jpg", "png")) for one in made["images"][:2]]
    file.write_text(json.dumps(made))
    split = CocoConfig(path=str(tmp_path / "c"), image_size=80).load().train
    sizes = set()
    for epoch in range(30):
        batch = split.augmented(np.arange(2), np.full(2, epoch), seed=1)
        for image, target in zip(batch.images, batch.targets, strict=True):
            if len(target["labels"]):
                bright, marked = image.min(0).values > 0.5, target["masks"][0] > 0
                edge = (target["boxes"][0, 2:] - target["boxes"][0, :2]).sum() * 2
                assert (bright != marked).sum() <= edge * 0.6 + 4
                sizes.add(int(target["area"][0]))
    assert min(sizes) < 100
    assert max(sizes) > 2000


def test_without_jitter_the_canvas_holds_the_whole_picture(folder: Path) -> None:
    config = CocoConfig(path=str(folder), image_size=COLUMNS, jitter=(1, 1), flip=0)
    split = config.load().train
    canvas, plain = split.augmented(EVERY, EVERY, seed=0), split.plain(EVERY)
    for image, whole, target, wanted in zip(canvas.images, plain.images, canvas.targets, plain.targets, strict=True):
        assert torch.equal(image[:, :ROWS], whole)
        torch.testing.assert_close(
            image[:, ROWS:], torch.tensor(config.preprocess.mean)[:, None, None].expand(3, 16, 64)
        )
        single = wanted["iscrowd"] == 0
        torch.testing.assert_close(target["boxes"], wanted["boxes"][single])
        assert torch.equal(target["masks"][:, :ROWS], wanted["masks"][single])
    mirrored = CocoConfig(path=str(folder), image_size=COLUMNS, jitter=(1, 1), flip=1).load().train
    for image, other in zip(mirrored.augmented(EVERY, EVERY, seed=0).images, canvas.images, strict=True):
        assert torch.equal(image, other.flip(2))
