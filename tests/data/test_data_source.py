"""The same samples in three forms: told apart by one path, in one order, in any process; and what is refused."""

import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lambdanets.data.export import WRITERS, Sample
from lambdanets.data.source import Source, available_splits, chosen_split, examine_source, open_source

CLASSES = ("ape", "bee", "cat")
FORMS = tuple(WRITERS)


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 5), dtype=np.uint8)
    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def make_samples(count: int, first: int = 0) -> list[Sample]:
    """Labels in no order of classes."""
    return [Sample(picture(seed), (seed * 7 + seed // 5) % 3) for seed in range(first, first + count)]


TRAIN, VAL = make_samples(250), make_samples(20, first=1000)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data in each form, in parts of 100. To be read, not changed."""
    folder = tmp_path_factory.mktemp("forms")
    sizes = {"shards": {"shard_samples": 100}, "parquet": {"file_samples": 100}}
    for form, write in WRITERS.items():
        write(TRAIN, folder / form, "train", CLASSES, **sizes.get(form, {}))
        write(VAL, folder / form, "val", CLASSES)
    return folder


def contents(source: Source, indices: Sequence[int] | None = None) -> list[bytes]:
    return [source.read(index) for index in (range(len(source)) if indices is None else indices)]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_samples_in_the_order_they_were_written(form: str, three: Path) -> None:
    assert available_splits(three / form) == ("train", "val")
    for split, samples in (("train", TRAIN), ("val", VAL)):
        source = open_source(three / form, split)
        assert source.classes == CLASSES
        assert source.labels.dtype == np.int64
        assert source.labels.tolist() == [sample.label for sample in samples]
        assert contents(source) == [sample.content for sample in samples]
        names = [source.name(index) for index in range(len(source))]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("word", ["val", "validation", "VAL", "valid"])
def test_a_split_has_many_names(word: str, form: str, three: Path) -> None:
    assert len(open_source(three / form, word)) == 20


@pytest.mark.parametrize("form", FORMS)
def test_a_pickled_source_is_small_and_reads_on(form: str, three: Path) -> None:
    source = open_source(three / form, "train")
    source.read(0)  # with a file open
    pickled = pickle.dumps(source)
    assert len(pickled) < 100 * len(source) + 10_000
    assert contents(pickle.loads(pickled), [3, 249]) == [TRAIN[3].content, TRAIN[249].content]


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_processes_read_at_once_and_disturb_nobody(form: str, start: str, three: Path) -> None:
    """After a fork files are shared: with a shared position processes would read each other's bytes."""
    source = open_source(three / form, "train")
    source.read(0)
    rounds = [list(range(part, 250, 5)) * 4 for part in range(5)]
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context(start)) as pool:
        read = list(pool.map(contents, [source] * 5, rounds))
    assert read == [[TRAIN[index].content for index in indices] for indices in rounds]


@pytest.mark.parametrize("form", FORMS)
def test_what_was_only_opened_keeps_no_file_open(form: str, three: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(20):
        open_source(three / form, "val").read(1)
    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    assert after <= before + 1


@pytest.mark.parametrize("form", FORMS)
def test_a_split_that_is_not_there_is_refused(form: str, three: Path) -> None:
    with pytest.raises(ValueError, match=r"has the splits train, val, wanted test too"):
        open_source(three / form, "test")
    with pytest.raises(ValueError, match=r"has the splits train, val: say which"):
        open_source(three / form)
    with pytest.raises(ValueError, match=r"got the split 'tarin', wanted one of train, val, test"):
        open_source(three / form, "tarin")


@pytest.mark.parametrize("form", FORMS)
def test_the_only_split_need_not_be_named(form: str, tmp_path: Path) -> None:
    WRITERS[form](VAL, tmp_path, "val", CLASSES)
    assert len(open_source(tmp_path)) == 20
    with pytest.raises(ValueError, match="has the splits val, wanted train"):
        open_source(tmp_path, "train")


@pytest.mark.parametrize("form", FORMS)
def test_a_class_without_a_picture_is_refused_where_it_is_learned(form: str, tmp_path: Path) -> None:
    WRITERS[form]([sample for sample in TRAIN if sample.label != 1], tmp_path, "train", CLASSES)
    WRITERS[form]([sample for sample in VAL if sample.label != 2], tmp_path, "val", CLASSES)
    with pytest.raises(ValueError, match=r"bee holds no image: add some, or remove the class"):
        open_source(tmp_path, "train")
    judged = open_source(tmp_path, "val")
    assert judged.classes == CLASSES
    assert set(judged.labels.tolist()) == {0, 1}  # the numbers are those of the training split
    _, findings = examine_source(tmp_path, "val")
    assert [(finding.kind, finding.note) for finding in findings] == [("empty-class", True)]


@pytest.mark.parametrize("form", FORMS)
def test_one_class_is_refused(form: str, tmp_path: Path) -> None:
    WRITERS[form]([Sample(picture(0), 0), Sample(picture(1), 0)], tmp_path, "train", ("ape",))
    with pytest.raises(ValueError, match="has one class only, 'ape': wanted two or more"):
        open_source(tmp_path)


def make_nothing(folder: Path) -> Path:
    (folder / "letters.txt").write_text("Dear reader")
    return folder


def make_mixed(folder: Path) -> Path:
    for form in ("tree", "shards"):
        WRITERS[form](VAL, folder, "train", CLASSES)
    return folder


def make_file(name: str, folder: Path) -> Path:
    (folder / name).write_bytes(b"x")
    return folder / name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nowhere", "there is no such file or folder"),
        (make_nothing, "holds no data that is known, wanted a folder of CLASS/picture.jpg"),
        (make_mixed, "holds tar files and pictures in folders, wanted one form"),
        (lambda folder: make_file("data.zip", folder), "is a file, wanted .*; unpack it first"),
        (lambda folder: make_file("train-000000.tar.gz", folder), "unpack it first"),
        (lambda folder: make_file("notes.txt", folder), r"is a file, wanted a folder .* val and test\."),
    ],
    ids=["nowhere", "nothing", "mixed", "zip", "tar.gz", "text"],
)
def test_what_is_none_of_the_forms_is_one_sentence(make, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        open_source(make(tmp_path))
    assert len(str(raised.value).splitlines()) == 1
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize("form", FORMS)
def test_data_that_may_only_be_read_is_read(form: str, three: Path, tmp_path: Path) -> None:
    """Nothing can be written beside the data; nothing is written in the home folder, nor left anywhere else."""
    data, home = tmp_path / "data", tmp_path / "home"
    shutil.copytree(three / form, data, ignore=shutil.ignore_patterns(".lambdanets*"))
    for folder in (home, tmp_path / "temporary"):
        folder.mkdir()
        folder.chmod(0o777)
    before = sorted(data.rglob("*"))
    program = (
        "import sys, pickle; from pathlib import Path\n"
        "from lambdanets.data.source import open_source\n"
        "root, mkdir = Path(sys.argv[1]), Path.mkdir\n"
        "import lambdanets.data.parquet as parquet, lambdanets.data.tar_index as tar_index\n"
        "def refuse(path, *arguments, **options):\n"
        "    if root in path.parents: raise PermissionError(13, 'Permission denied')\n"
        "    mkdir(path, *arguments, **options)\n"
        "Path.mkdir = refuse\n"
        "tar_index.write_whole = lambda path, content: (_ for _ in ()).throw("
        "tar_index.NotWrittenError(path, PermissionError(13, 'Permission denied')))\n"
        "source = open_source(root, 'val')\n"
        "print(len(pickle.loads(pickle.dumps(source)).read(7)))\n"
    )
    surroundings = os.environ | {"HOME": str(home), "TMPDIR": str(tmp_path / "temporary")}
    ended = subprocess.run(
        [sys.executable, "-c", program, str(data)], env=surroundings, capture_output=True, text=True, check=False
    )
    assert ended.stdout.strip() == str(len(VAL[7].content)), ended.stderr
    assert sorted(data.rglob("*")) == before
    assert list(home.rglob("*")) == []
    assert list((tmp_path / "temporary").rglob("*")) == []  # it goes when the process ends


def test_a_source_is_opened_without_torch(three: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from lambdanets.data.source import open_source\n"
        "[open_source(Path(sys.argv[1]) / form, 'val').read(0) for form in ('tree', 'shards')]\n"
        "sys.exit('torch' in sys.modules or 'datasets' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(three)], check=True)


def test_data_without_splits_counts_as_train(three: Path, tmp_path: Path) -> None:
    shutil.copytree(three / "tree" / "train", tmp_path / "plain")
    assert available_splits(tmp_path / "plain") == ()
    assert chosen_split(tmp_path / "plain", None) == chosen_split(tmp_path / "plain", "train")
    assert len(open_source(tmp_path / "plain", "train")) == 250
    with pytest.raises(ValueError, match="has no splits, wanted val too"):
        open_source(tmp_path / "plain", "val")
