"""Pictures on a disk as splits: what is in a batch, what becomes of what cannot be read, what is held out."""

import io
import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from lambdanets.data.export import Sample, write_parquet, write_shards, write_tree
from lambdanets.data.loader import LoaderConfig, LoaderError, Request, load_batches
from lambdanets.data.stored import Stored, StoredConfig, StoredImages, held_out, split_up

CONFIG = StoredConfig(image_size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
CLASSES = ("ant", "bee", "cat")


def encoded(shade: int, kind: str = "PNG", size: tuple[int, int] = (20, 18)) -> bytes:
    """The file of a picture of one shade, with a mark in a corner."""
    picture = Image.new("RGB", size, (shade, shade, shade))
    picture.putpixel((0, 0), (255 - shade, 0, 0))
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


@dataclass
class Memory:
    """A source in memory. What is no bytes is raised."""

    contents: Sequence[bytes | Exception]
    labels: NDArray[np.int64]
    classes: tuple[str, ...] = CLASSES
    names: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.contents)

    def name(self, index: int) -> str:
        return self.names[index] if self.names else f"train/{self.classes[self.labels[index]]}/{index:04d}.png"

    def read(self, index: int) -> bytes:
        content = self.contents[index]
        if isinstance(content, Exception):
            raise content
        return content


def memory(count: int = 9, **changes: bytes | Exception) -> StoredImages:
    """A split of pictures of different shades, some of them replaced (by `at3=…`)."""
    contents: list[bytes | Exception] = [encoded(20 * number) for number in range(count)]
    for place, content in changes.items():
        contents[int(place.removeprefix("at"))] = content
    return CONFIG.all_of(Memory(contents, np.arange(count) % 3))


EVERY = np.arange(9)


def test_a_plain_batch_holds_each_picture_in_its_place() -> None:
    batch = memory().plain(np.array([5, 0, 2]))
    assert batch.images.shape == (3, 3, 16, 16)
    assert ((batch.images[:, 0, 8, 8] + 1) * 127.5).round().tolist() == [100, 0, 40]
    assert batch.labels.tolist() == [2, 0, 2]
    assert batch.weights.tolist() == [1, 1, 1]
    assert batch.notes == ()


def test_an_augmented_batch_is_the_same_whoever_asks_for_what_else() -> None:
    split = replace(memory(), variation=replace(CONFIG.variation, layers=2, magnitude=15))
    together = split.augmented(EVERY, EVERY % 2, seed=1).images
    alone = split.augmented(EVERY[4:5], EVERY[4:5] % 2, seed=1).images
    assert torch.equal(together[4:5], alone)
    assert not torch.equal(split.augmented(EVERY, EVERY % 2, seed=2).images, together)
    assert not torch.equal(split.augmented(EVERY, EVERY % 2 + 1, seed=1).images, together)


@pytest.mark.parametrize("training", [True, False], ids=["training", "judging"])
def test_what_cannot_be_read_is_told_and_never_replaced(training: bool) -> None:
    split = memory(
        at1=FileNotFoundError(2, "No such file or directory"), at4=b"", at5=b"no picture", at7=encoded(9)[:60]
    )
    whole = memory()
    got, wanted = (s.augmented(EVERY, EVERY, 0) if training else s.plain(EVERY) for s in (split, whole))
    assert got.weights.tolist() == [1, 0, 1, 1, 0, 0, 1, 0, 1]
    assert (got.images[got.weights == 0] == 0).all()
    assert torch.equal(got.images[got.weights == 1], wanted.images[got.weights == 1])
    assert torch.equal(got.labels, wanted.labels)
    reasons = ("cannot be read (No such file or directory)", "is empty", "is not an image", "damaged")
    assert len(got.notes) == len(reasons)
    for note, place, reason in zip(got.notes, (1, 4, 5, 7), reasons, strict=True):
        assert note.startswith(split.name(place))
        assert reason in note


def test_a_picture_with_too_many_pixels_is_not_read() -> None:
    split = replace(memory(at2=encoded(0, size=(100, 101))), max_pixels=10_000)
    assert split.plain(EVERY).weights.tolist() == [1, 1, 0, 1, 1, 1, 1, 1, 1]
    assert "has more than 0.01 million pixels" in split.plain(EVERY).notes[0]


def test_grey_and_colour_give_what_the_config_asks_for() -> None:
    file = io.BytesIO()
    Image.new("L", (9, 9), 51).save(file, "PNG")
    split = memory(at0=file.getvalue())
    assert split.plain(EVERY[:1]).images.unique().tolist() == pytest.approx([2 * 51 / 255 - 1])
    grey = replace(CONFIG, mean=(0.0,), std=(1.0,)).all_of(split.source)
    assert grey.num_channels == 1
    assert grey.plain(EVERY[:1]).images.unique().tolist() == pytest.approx([0.2])


def test_other_resolutions_are_one_call_away() -> None:
    split = memory().at_size(40)
    assert split.plain(EVERY[:2]).images.shape == (2, 3, 40, 40)
    assert split.augmented(EVERY[:2], EVERY[:2], 0).images.shape == (2, 3, 40, 40)


def write(form: str, path: Path, **splits: int) -> str:
    """A data set of one shade a picture, and its path."""
    writer = {"tree": write_tree, "shards": write_shards, "parquet": write_parquet}[form]
    for split, count in splits.items():
        writer((Sample(encoded(5 * n), n % 3) for n in range(count)), path, split, CLASSES)
    return str(path)


def test_the_forms_of_data_give_the_same_bits(tmp_path: Path) -> None:
    seen = []
    for form in ("tree", "shards", "parquet"):
        data = replace(CONFIG, path=write(form, tmp_path / form, train=12, val=6)).load()
        assert isinstance(data.validation, StoredImages)
        assert (len(data.train), len(data.validation), data.test, data.train.classes) == (12, 6, None, CLASSES)
        every = np.argsort(
            data.train.plain(np.arange(12)).images.mean((1, 2, 3)).numpy()
        )  # each form has its own order
        seen.append((data.train.plain(every), data.validation.plain(np.arange(6)).images.mean((1, 2, 3)).sort().values))
    for train, judged in seen[1:]:
        assert torch.equal(train.images, seen[0][0].images)
        assert torch.equal(train.labels, seen[0][0].labels)
        assert torch.equal(judged, seen[0][1])


@pytest.mark.parametrize("form", ["tree", "shards", "parquet"])
def test_worker_processes_make_the_same_bits(form: str, tmp_path: Path) -> None:
    config = replace(CONFIG, path=write(form, tmp_path / form, train=12, val=3), rand_augment_layers=2)
    train = config.load().train

    def requests(first: int) -> list[Request]:
        return [Request(step, np.arange(4) + 4 * (step % 3), np.full(4, step // 3)) for step in range(first, 6)]

    rows = []
    for workers in (0, 2):
        settings = LoaderConfig(workers=workers)
        batches = load_batches(Augmented(train), lambda s: iter(requests(s)), 0, settings, pin=False, warn=pytest.fail)
        rows.append(torch.stack([batch.images.clone() for batch in batches]))
    assert torch.equal(*rows)


@dataclass(frozen=True)
class Augmented:
    split: StoredImages

    def __call__(self, request: Request):
        return self.split.augmented(request.indices, request.epochs, 0)


def test_a_file_that_vanishes_while_training_is_told_by_name(tmp_path: Path) -> None:
    path = Path(write("tree", tmp_path, train=6, val=3))
    train = replace(CONFIG, path=str(path)).load().train
    (path / train.name(2)).unlink()
    batch = train.augmented(np.arange(6), np.zeros(6, dtype=np.int64), 0)
    assert batch.weights.tolist() == [1, 1, 0, 1, 1, 1]
    assert len(batch.notes) == 1
    assert train.name(2) in batch.notes[0]


@dataclass
class Deadly(Memory):
    """A source with a picture whose reading never ends."""

    def read(self, index: int) -> bytes:
        if index == 5:
            time.sleep(1000)
        return super().read(index)


def test_a_worker_that_is_lost_at_a_picture_names_it() -> None:
    split = CONFIG.all_of(Deadly([encoded(1)] * 8, np.zeros(8, dtype=np.int64)))
    requests = [Request(step, np.arange(4) + 4 * step, np.zeros(4)) for step in range(2)]
    config, told = LoaderConfig(workers=1, timeout=1, restarts=1), []
    batches = load_batches(Augmented(split), lambda _: iter(requests), 0, config, pin=False, warn=told.append)
    assert len(next(batches).images) == 4
    with pytest.raises(LoaderError, match=rf"at the batch of step 1, at {split.name(5)}, and so did those before it"):
        next(batches)
    assert len(told) == 1
    assert f"at {split.name(5)};" in told[0]


def test_a_split_is_sent_to_workers_in_few_bytes(tmp_path: Path) -> None:
    train = replace(CONFIG, path=write("tree", tmp_path, train=30, val=3)).load().train
    again = pickle.loads(pickle.dumps(train))
    assert torch.equal(again.plain(EVERY).images, train.plain(EVERY).images)
    assert len(pickle.dumps(train)) < 10_000


def test_without_splits_some_must_be_held_out(tmp_path: Path) -> None:
    path = write("tree", tmp_path, train=40) + "/train"
    with pytest.raises(ValueError, match=r"only training pictures, nothing to judge on: .*data\.holdout=0\.1"):
        replace(CONFIG, path=path).load()
    data = replace(CONFIG, path=path, holdout=0.2).load()
    assert data.validation is not None
    names = [split.name(index) for split in (data.train, data.validation) for index in range(len(split))]
    assert len(set(names)) == 40
    assert 3 <= len(data.validation) <= 13


def test_what_is_held_out_does_not_depend_on_the_rest() -> None:
    names = [f"train/ant/{number}.jpg" for number in range(2000)]
    out = held_out(names, 0.02)
    assert 20 <= out.sum() <= 65
    assert held_out(names[::2], 0.02).tolist() == out[::2].tolist()
    assert not (out & ~held_out(names, 0.05)).any()
    assert held_out([f"shard-3.tar:{number}.jpg" for number in range(2000)], 0.02).tolist() == out.tolist()
    assert not held_out(names, 0.0).any()


def test_with_a_holdout_the_old_validation_becomes_the_test() -> None:
    train, other = memory(60), memory(6)
    data = split_up(train, {"val": other}, 0.3)
    assert isinstance(data, Stored)
    assert data.test is not None
    assert len(data.test) == 6
    data = split_up(train, {"val": other, "test": memory(7)}, 0.3)
    assert data.test is not None
    assert len(data.test) == 7
    with pytest.raises(ValueError, match=r"data\.holdout: 0\.001 of 60 pictures are 0; wanted some, not all"):
        split_up(train, {"val": other}, 0.001)


def test_splits_agree_about_classes_by_name() -> None:
    judged = CONFIG.all_of(Memory([encoded(1), encoded(2)], np.array([0, 1]), classes=("bee", "cat")))
    data = split_up(memory(), {"val": judged}, 0.0)
    assert data.validation is not None
    assert data.validation.labels.tolist() == [1, 2]
    assert data.validation.num_classes == 3
    strange = CONFIG.all_of(Memory([encoded(1)], np.array([0]), classes=("dog",)))
    with pytest.raises(ValueError, match="1 classes are to be judged but not trained, the first is dog"):
        split_up(memory(), {"val": strange}, 0.0)


def test_a_picture_without_label_is_for_a_pool_only(tmp_path: Path) -> None:
    unknown = CONFIG.all_of(Memory([encoded(1), encoded(2)], np.array([0, -1]), names=["a.png", "b.png"]))
    assert unknown.plain(np.arange(2)).labels.tolist() == [0, -1]
    with pytest.raises(ValueError, match=r"b\.png has no label, and 0 more of 2 training pictures"):
        split_up(unknown, {"val": memory()}, 0.0)
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(encoded(number))
    pool = CONFIG.load_pool(str(tmp_path))
    assert pool.labels.tolist() == [-1, -1, -1]
    assert pool.plain(np.arange(3)).weights.tolist() == [1, 1, 1]


def test_data_must_be_named() -> None:
    with pytest.raises(ValueError, match="no data was named: say where the pictures are with --data PATH"):
        CONFIG.load()


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": 7},
        {"crop": 0.0},
        {"min_area": 1.5},
        {"flip": 2.0},
        {"rand_augment_layers": -1},
        {"rand_augment_magnitude": 31},
        {"holdout": 1.0},
        {"max_pixels": 0},
        {"mean": (0.5, 0.5)},
        {"std": (0.0, 1.0, 1.0)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_numbers_without_sense_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"data\.{next(iter(change))}|data\.mean and data\.std"):
        replace(CONFIG, **change)
