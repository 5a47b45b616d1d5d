"""A pool is labelled block by block, goes on after a kill, and what is kept of it is chosen at the end."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lambdanets.data.digits import DigitsConfig
from lambdanets.data.loader import LoaderConfig
from lambdanets.data.mixture import Part
from lambdanets.data.pseudo import read_labels
from lambdanets.data.stored import StoredConfig
from lambdanets.training.labelling import Filters, label_pool, write_chosen

POOL = DigitsConfig(labelled=100).load_pool().part(np.arange(23))
HEADER = {"classes": [str(digit) for digit in range(10)], "pool": "digits", "teacher": {"weights_sha256": "00"}}


def predict(images: Tensor) -> Tensor:
    """Logits that depend on the image: some sure, some not."""
    sums = images.flatten(1).sum(1, dtype=torch.float64)
    logits = torch.zeros(len(images), 10, dtype=torch.float64)
    logits[torch.arange(len(images)), (sums.abs() * 7).long() % 3] = sums.abs() % 5
    return logits


def labelled(journal: Path, pool: Part = POOL, header: dict[str, Any] = HEADER, size: int = 5, **options: Any) -> None:
    ask, views = options.pop("ask", predict), options.pop("views", 0)
    label_pool(ask, pool, journal, header, batch_size=size, loader=LoaderConfig(**options), views=views)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal"
    labelled(path)
    return path


def test_what_is_kept_is_what_the_teacher_says(journal: Path, tmp_path: Path) -> None:
    found = write_chosen(journal, tmp_path / "labels", Filters(soft=True, min_confidence=0))
    assert (found.pictures, found.kept) == (23, 23)
    labels = read_labels(tmp_path / "labels")
    assert labels.names == tuple(POOL.name(index) for index in range(23))
    assert labels.hashes == tuple(POOL.content_hash(index) for index in range(23))
    assert labels.header["pictures"] == 23
    expected = predict(POOL.plain(np.arange(23)).images).softmax(1)
    rounded = 11 * 1e-3  # classes below a thousandth are left out, the rest has four decimals
    assert torch.allclose(labels.targets.at(np.arange(23)).double(), expected, atol=rounded, rtol=0)


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_unsure_pictures_and_those_beyond_the_balance_are_left_out(journal: Path, tmp_path: Path, soft: bool) -> None:
    shares, classes = (part.tolist() for part in predict(POOL.plain(np.arange(23)).images).softmax(1).max(1))
    filters = Filters(soft=soft, min_confidence=0.6, balance=2)
    found = write_chosen(journal, tmp_path / "labels", filters)
    expected = []
    for wanted in range(10):
        sure = [i for i in range(23) if classes[i] == wanted and round(shares[i], 4) >= 0.6]
        expected += sorted(sure, key=lambda i: -round(shares[i], 4))[:2]
    labels = read_labels(tmp_path / "labels")
    assert sorted(labels.names) == sorted(POOL.name(index) for index in expected)
    assert found.kept == len(expected) == sum(found.of_class.values())
    assert found.unsure == sum(round(share, 4) < 0.6 for share in shares) > 0
    assert found.kept + found.unsure + found.beyond == 23
    assert labels.header["balance"] == 2
    rows = labels.targets.at(np.arange(found.kept))
    assert (rows.argmax(1) if soft else rows).tolist() == [
        classes[[POOL.name(i) for i in range(23)].index(name)] for name in labels.names
    ]


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_labelling_that_is_cut_short_goes_on_where_it_was(journal: Path, tmp_path: Path, at: int) -> None:
    calls: list[int] = []

    def failing(images: Tensor) -> Tensor:
        if len(calls) == at:
            raise KeyboardInterrupt
        calls.append(len(images))
        return predict(images)

    other = tmp_path / "other"
    with pytest.raises(KeyboardInterrupt):
        labelled(other, ask=failing)
    seen: list[int] = []
    label_pool(predict, POOL, other, HEADER, batch_size=4, loader=LoaderConfig(), watch=seen.append)
    assert seen[0] == 5 * at
    assert other.read_bytes() == journal.read_bytes()


@pytest.mark.parametrize("cut", [1, 20, 150, 400])
def test_a_torn_journal_loses_no_more_than_its_torn_line(journal: Path, cut: int) -> None:
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-cut])
    labelled(journal)
    assert journal.read_bytes() == whole


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from test_training_labelling import labelled, predict
calls = []
def ask(images):
    calls.append(0)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return predict(images)
labelled(Path({path!r}), ask=ask)
"""


def test_a_kill_loses_one_block(journal: Path, tmp_path: Path) -> None:
    path = tmp_path / "killed"
    program = KILLED.format(folder=str(Path(__file__).parent), path=str(path))
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=120, capture_output=True)
    assert done.returncode == -9
    assert len(path.read_text().splitlines()) == 1 + 2 * 5
    labelled(path)
    assert path.read_bytes() == journal.read_bytes()


def test_views_are_averaged(tmp_path: Path) -> None:
    labelled(tmp_path / "journal", views=3)
    write_chosen(tmp_path / "journal", tmp_path / "labels", Filters(soft=True, min_confidence=0))
    every = np.arange(23)
    shown = [predict(POOL.augmented(every, np.full(23, view), 0).images).softmax(1) for view in (1, 2, 3)]
    assert not torch.allclose(shown[0], shown[1])
    given = read_labels(tmp_path / "labels").targets.at(every).double()
    assert torch.allclose(given, torch.stack(shown).mean(0), atol=11 * 1e-3, rtol=0)


@pytest.mark.parametrize("at", [2, 3, 4])
def test_a_labelling_of_views_goes_on_at_a_whole_picture(tmp_path: Path, at: int) -> None:
    calls: list[int] = []

    def failing(images: Tensor) -> Tensor:
        if len(calls) == at:
            raise KeyboardInterrupt
        calls.append(len(images))
        return predict(images)

    labelled(tmp_path / "whole", views=3)
    with pytest.raises(KeyboardInterrupt):
        labelled(tmp_path / "cut", ask=failing, views=3)
    labelled(tmp_path / "cut", views=3, size=7)
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()


def test_worker_processes_change_nothing(journal: Path, tmp_path: Path) -> None:
    labelled(tmp_path / "other", workers=2)
    assert (tmp_path / "other").read_bytes() == journal.read_bytes()


@pytest.mark.parametrize(
    ("pool", "header"),
    [(POOL, HEADER | {"teacher": {"weights_sha256": "11"}}), (POOL.part(np.arange(22)), HEADER)],
    ids=["teacher", "pool"],
)
def test_the_journal_of_another_labelling_is_refused(journal: Path, pool: Part, header: dict[str, Any]) -> None:
    before = journal.read_bytes()
    with pytest.raises(ValueError, match="another teacher or for another pool"):
        labelled(journal, pool, header)
    assert journal.read_bytes() == before


def test_a_journal_with_lines_exchanged_is_refused(journal: Path, tmp_path: Path) -> None:
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([lines[0], *lines[:0:-1]]))
    with pytest.raises(ValueError, match="not the journal of one labelling"):
        write_chosen(journal, tmp_path / "labels", Filters())


def test_unreadable_pictures_are_listed_and_teach_nothing(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    for number in range(3):
        (tmp_path / "pool" / f"{number}.png").write_bytes(b"no picture")
    Image.new("L", (16, 16), 200).save(tmp_path / "pool" / "1.png")
    pool = StoredConfig(path=str(tmp_path / "pool"), image_size=32).load_pool()
    labelled(tmp_path / "journal", pool)
    found = write_chosen(tmp_path / "journal", tmp_path / "labels", Filters(min_confidence=0))
    assert (found.pictures, found.kept, len(found.unreadable)) == (3, 1, 2)
    assert ["0.png" in found.unreadable[0], "2.png" in found.unreadable[1]] == [True, True]
    assert read_labels(tmp_path / "labels").names == ("1.png",)
    named = [json.loads(line) for line in (tmp_path / "labels").read_text().splitlines()]
    assert [line["name"] for line in named if "unreadable" in line] == ["0.png", "2.png"]


def test_an_answer_that_is_no_number_labels_nothing(tmp_path: Path) -> None:
    labelled(tmp_path / "journal", ask=lambda images: torch.full((len(images), 10), float("nan")))
    found = write_chosen(tmp_path / "journal", tmp_path / "labels", Filters(min_confidence=0))
    assert found.kept == 0
    assert len(found.unreadable) == 23


def test_of_very_many_classes_a_line_stays_short(tmp_path: Path) -> None:
    header = HEADER | {"classes": [str(number) for number in range(5000)]}
    labelled(tmp_path / "journal", header=header, ask=lambda images: torch.zeros(len(images), 5000))
    write_chosen(tmp_path / "journal", tmp_path / "labels", Filters(soft=True, min_confidence=0))
    assert read_labels(tmp_path / "labels").targets.at(np.arange(23)).tolist() == [0] * 23
    assert (tmp_path / "labels").stat().st_size < 60_000


@pytest.mark.parametrize("wrong", [{"min_confidence": 1.5}, {"min_confidence": float("nan")}, {"balance": 0}], ids=str)
def test_filters_that_keep_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="got"):
        replace(Filters(), **wrong)
