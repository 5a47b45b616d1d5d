"""Dirty data, really made: every fault is named with its file and what to do, and nothing else is."""

import os
import signal
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lambdanets.data import check, look
from lambdanets.data.check import Report, check_data
from lambdanets.data.export import WRITERS, Sample
from lambdanets.data.written_digits import digit_samples, write_digits

FORMS = tuple(WRITERS)
CLASSES = ("ape", "bee", "cat")


def encoded(seed: int, mode: str = "L", kind: str = "PNG", size: tuple[int, int] = (12, 9)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    content = BytesIO()
    Image.fromarray(pixels).convert(mode).save(content, kind)
    return content.getvalue()


def clean(count: int, first: int = 0) -> list[Sample]:
    return [Sample(encoded(first + place), place % 3) for place in range(count)]


Dirt = Callable[[dict[str, list[Sample]]], None]


def broken(content: bytes) -> Dirt:
    return lambda data: data["train"].__setitem__(4, Sample(content, 1))


def leaked(data: dict[str, list[Sample]]) -> None:
    data["val"][2] = data["train"][5]


def under_two_labels(data: dict[str, list[Sample]]) -> None:
    data["train"][4] = Sample(data["train"][3].content, 1)


def twice(data: dict[str, list[Sample]]) -> None:
    data["train"][6] = data["train"][3]


def without_class(data: dict[str, list[Sample]]) -> None:
    data["train"] = [sample for sample in data["train"] if sample.label != 1]


WHOLE = encoded(99, size=(64, 64))


def huge() -> bytes:
    """65 million pixels in few bytes."""
    content = BytesIO()
    Image.new("1", (8100, 8100)).save(content, "PNG")
    return content.getvalue()


DIRT: dict[str, tuple[Dirt, str, int | None, str]] = {
    "truncated": (broken(WHOLE[: len(WHOLE) // 2]), "broken", 4, "fetch it again, or remove it"),
    "empty-file": (broken(b""), "broken", 4, "fetch it again, or remove it"),
    "text": (broken(b"no picture at all"), "broken", 4, "fetch it again, or remove it"),
    "too-large": (broken(huge()), "broken", 4, "make it smaller, or cut out a part, or remove it"),
    "leak": (leaked, "leak", 2, "remove it from one of the two"),
    "two-labels": (under_two_labels, "two-labels", 4, "keep the right one"),
    "empty-class": (without_class, "empty-class", None, "add some, or remove the class"),
}
"""What is done to the data, the kind of what must be found, the picture it must name, and what to do."""


def soil(dirt: Dirt, folder: Path, form: str) -> Path:
    data = {"train": clean(12), "val": clean(6, first=100)}
    dirt(data)
    for split, samples in data.items():
        WRITERS[form](samples, folder, split, CLASSES)
    return folder


def graves(report: Report) -> list[tuple[str, str]]:
    return [(finding.kind, finding.where) for finding in report.findings if not finding.note]


@pytest.mark.parametrize("form", FORMS)
def test_clean_data_is_well_and_counted(form: str, tmp_path: Path) -> None:
    report = check_data(soil(lambda data: None, tmp_path, form))
    assert report.well
    assert report.findings == []
    assert report.form == form
    train, val = report.splits
    assert (train.split, train.images, train.broken, val.split, val.images) == ("train", 12, 0, "val", 6)
    assert train.classes == {"ape": 4, "bee": 4, "cat": 4}
    assert (train.widths, train.heights, train.modes) == ((12, 12.0, 12), (9, 9.0, 9), {"L": 12})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", DIRT)
def test_dirt_is_named_with_its_file_and_the_fix(name: str, form: str, tmp_path: Path) -> None:
    dirt, kind, place, fix = DIRT[name]
    report = check_data(soil(dirt, tmp_path, form))
    assert not report.well
    (finding,) = [finding for finding in report.findings if not finding.note]
    assert finding.kind == kind
    assert fix in finding.fix
    wanted = "bee" if place is None else f"row {place}" if form == "parquet" else f"{place:06d}.png"
    assert finding.where.endswith(wanted)
    assert len(str(finding).splitlines()) == 1


@pytest.mark.parametrize("form", FORMS)
def test_one_class_and_the_same_file_twice(form: str, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    samples = [Sample(encoded(seed), 0) for seed in range(3)]
    WRITERS[form](samples, tmp_path / "one", "train", CLASSES[:1])
    assert [kind for kind, _ in graves(check_data(tmp_path / "one"))] == ["one-class"]
    report = check_data(soil(twice, tmp_path / "twice", form))
    assert report.well
    assert [finding.kind for finding in report.findings] == ["twice"]


def test_shards_with_a_gap_in_their_labels_and_damage_are_looked_through_all_the_same(tmp_path: Path) -> None:
    soil(lambda data: None, tmp_path, "shards")
    (tmp_path / "classes.txt").unlink()
    samples = [Sample(encoded(seed), (0, 2)[seed % 2]) for seed in range(200, 206)]
    WRITERS["shards"](samples, tmp_path, "train", CLASSES)
    (tmp_path / "classes.txt").unlink()
    with tarfile.open(tmp_path / "train-000001.tar", "w") as archive:
        member = tarfile.TarInfo("x.cls")
        member.size = 1
        archive.addfile(member, BytesIO(b"0"))
    (tmp_path / "train-000002.tar").write_bytes((tmp_path / "train-000000.tar").read_bytes()[:3000])
    kinds = [kind for kind, _ in graves(check_data(tmp_path))]
    assert kinds.count("damaged-shard") == kinds.count("label-gap") == kinds.count("no-image") == 1


def test_folders_of_a_tree_are_judged(tmp_path: Path) -> None:
    soil(lambda data: None, tmp_path, "tree")
    (tmp_path / "train" / "dog").mkdir()
    (tmp_path / "val" / "elk").mkdir()
    (tmp_path / "val" / "elk" / "1.png").write_bytes(encoded(300))
    (tmp_path / "train" / "loose.png").write_bytes(encoded(301))
    (tmp_path / "test").mkdir()
    assert set(graves(check_data(tmp_path))) == {
        ("empty-class", "train/dog"), ("unknown-class", "val/elk"), ("loose", "train/loose.png"), ("empty", "test"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("1.png", encoded(1, "P"), "odd-mode"), ("1.jpg", encoded(1, "CMYK", "JPEG"), "odd-mode"),
        ("1.png", encoded(1, "RGBA"), "odd-mode"), ("1.png", encoded(1, "1"), "odd-mode"),
        ("1.png", encoded(1, kind="JPEG"), "wrong-ending"), ("1.png", encoded(1, size=(200, 9)), "extreme-shape"),
        ("1.png", encoded(1, size=(7, 9)), "extreme-shape"),
    ],
    ids=["palette", "inks", "transparent", "bits", "jpeg-as-png", "long", "small"],
)  # fmt: skip
def test_what_is_odd_is_noted_and_no_more(name: str, content: bytes, kind: str, tmp_path: Path) -> None:
    soil(lambda data: None, tmp_path, "tree")
    (tmp_path / "train" / "ape" / name).write_bytes(content)
    report = check_data(tmp_path)
    assert report.well
    assert [(finding.kind, finding.where) for finding in report.findings] == [(kind, f"train/ape/{name}")]


def test_a_flat_and_a_moving_picture_and_uneven_classes_are_noted(tmp_path: Path) -> None:
    soil(lambda data: None, tmp_path, "tree")
    Image.new("RGB", (9, 9), (1, 2, 3)).save(tmp_path / "train" / "ape" / "flat.png")
    frames = [Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9), dtype=np.uint8)) for seed in (1, 2)]
    frames[0].save(tmp_path / "train" / "bee" / "moving.gif", save_all=True, append_images=frames[1:])
    for number in range(40):
        (tmp_path / "train" / "cat" / f"more{number}.png").write_bytes(encoded(1000 + number))
    kinds = {finding.kind for finding in check_data(tmp_path).findings}
    assert kinds >= {"flat", "moving"}
    assert "uneven" not in kinds  # 44 are not ten times 5
    (tmp_path / "train" / "ape" / "flat.png").unlink()
    for number in range(40):
        (tmp_path / "train" / "cat" / f"again{number}.png").write_bytes(encoded(2000 + number))
    (finding,) = [finding for finding in check_data(tmp_path).findings if finding.kind == "uneven"]
    assert finding.where == "train"
    assert "4 images of class 'ape' and 84 of 'cat'" in finding.what


def test_what_vanishes_or_is_no_file_is_broken(tmp_path: Path) -> None:
    soil(lambda data: None, tmp_path, "tree")
    (tmp_path / "train" / "ape" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "train" / "bee" / "pipe.png")
    (tmp_path / "train" / "cat" / "endless.png").symlink_to("/dev/zero")
    found = graves(check_data(tmp_path))
    assert {where for _, where in found} == {
        f"train/{name}" for name in ("ape/gone.png", "bee/pipe.png", "cat/endless.png")
    }
    assert {kind for kind, _ in found} == {"broken"}


def test_workers_see_what_one_process_sees(tmp_path: Path) -> None:
    soil(DIRT["truncated"][0], tmp_path, "tree")
    seen: list[tuple[str, int, int]] = []
    alone = check_data(tmp_path)
    together = check_data(tmp_path, workers=2, watch=lambda *progress: seen.append(progress))
    assert together == alone
    assert seen == [("train", place, 12) for place in range(1, 13)] + [("val", place, 6) for place in range(1, 7)]


class Deadly:
    """A picture that kills whoever reads it, as one that needs too much memory may."""

    classes = ("a", "b")
    labels = np.array([0, 1])

    def __len__(self) -> int:
        return 2

    def name(self, index: int) -> str:
        return f"picture {index}"

    def read(self, index: int) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""


def test_a_worker_that_is_killed_is_told_of() -> None:
    with pytest.raises(ChildProcessError, match=r"at or soon after picture 0; for lack of memory"):
        list(check._looks(Deadly(), 1))


def test_findings_beyond_what_memory_is_meant_for_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "MOST_FINDINGS", 3)
    soil(lambda data: None, tmp_path, "tree")
    for number in range(10):
        (tmp_path / "train" / "ape" / f"bad{number}.png").write_bytes(b"no picture")
    report = check_data(tmp_path)
    assert report.splits[0].broken == 10
    assert len(report.findings) == 3
    assert report.left_out == {"broken": 7}


@pytest.mark.parametrize("form", FORMS)
def test_the_digits_are_written_alike_in_every_form_and_are_well(form: str, tmp_path: Path) -> None:
    from lambdanets.data.digits import TEST_FORMS, TRAIN_FORMS, DigitsConfig, load_split
    from lambdanets.data.source import open_source

    assert write_digits(tmp_path / form, form) == {"train": 1287, "val": 510}
    assert os.listdir(tmp_path) == [form]
    for split, forms in (("train", TRAIN_FORMS), ("val", TEST_FORMS)):
        source, truth = open_source(tmp_path / form, split), load_split(forms, DigitsConfig())
        assert source.classes == tuple("0123456789")
        assert source.labels.tolist() == truth.labels.tolist()
        assert [source.read(index) for index in range(len(source))] == [s.content for s in digit_samples(forms)]
        scanned = np.asarray(Image.open(BytesIO(source.read(7))))
        assert np.array_equal(scanned, (truth.images[7, 0].numpy() * 255).round())
    assert check_data(tmp_path / form).well


def test_digits_are_enlarged_and_never_written_over(tmp_path: Path) -> None:
    (sample, *_) = digit_samples([9], 20)
    assert Image.open(BytesIO(sample.content)).size == (20, 20)
    (tmp_path / "mine").write_text("")
    for path, form, size, message in (
        (tmp_path, "tree", 8, "is not an empty folder"),
        (tmp_path / "new", "zip", 8, "got the form 'zip', wanted one of tree, shards, parquet"),
        (tmp_path / "new", "tree", 7, "size: got 7, wanted 8 to 1024"),
    ):
        with pytest.raises(ValueError, match=message):
            write_digits(path, form, size)
    assert os.listdir(tmp_path) == ["mine"]


def test_digits_that_cannot_be_written_whole_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lambdanets.data import written_digits

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(written_digits.WRITERS, "tree", full)
    with pytest.raises(OSError, match="could not be written: No space left on device"):
        write_digits(tmp_path / "new", "tree")
    assert os.listdir(tmp_path) == []


def test_a_look_does_not_depend_on_what_the_file_is_called() -> None:
    assert look.judge_look("train:row 3", look.Look(mode="L", width=9, height=9, kind="PNG")) == []
