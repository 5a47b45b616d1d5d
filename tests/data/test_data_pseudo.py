"""A file of pseudo-labels: what is written is read, and nothing else is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lambdanets.data.pseudo import FORMAT, LabelsError, PseudoConfig, content_hash, read_labels, write_labels

HEADER = {"classes": ["a", "b", "c"], "pool": "somewhere"}
SOFT = [
    {"name": "x", "sha256": "1" * 16, "probabilities": {"2": 0.6, "0": 0.2}},
    {"name": "y", "sha256": "2" * 16, "probabilities": {"1": 0.999}},
]
HARD = [{"name": "x", "sha256": "1" * 16, "label": 2, "confidence": 0.6}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.jsonl"


def test_soft_labels_are_rows_that_sum_to_one(path: Path) -> None:
    write_labels(path, HEADER, [*SOFT, {"name": "z", "unreadable": "z is no picture."}])
    found = read_labels(path)
    assert (found.names, found.hashes, found.classes) == (("x", "y"), ("1" * 16, "2" * 16), ("a", "b", "c"))
    assert found.targets.soft
    rows = found.targets.at(np.array([1, 0]))
    assert torch.allclose(rows, torch.tensor([[0, 1, 0], [0.25, 0, 0.75]]))


def test_hard_labels_are_class_numbers(path: Path) -> None:
    write_labels(path, HEADER, HARD)
    targets = read_labels(path).targets
    assert not targets.soft
    assert targets.at(np.array([0])).tolist() == [2]
    assert targets.renamed(np.array([5, 6, 7]), 8).at(np.array([0])).tolist() == [7]


def test_the_file_says_what_it_is_in_its_first_line(path: Path) -> None:
    write_labels(path, HEADER, HARD)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {"format": FORMAT, **HEADER}
    assert lines[-1]["lines"] == 2


@pytest.mark.parametrize("place", range(0, 300, 7))
def test_a_changed_byte_is_noticed(path: Path, place: int) -> None:
    write_labels(path, HEADER, SOFT)
    text = bytearray(path.read_bytes())
    text[place % len(text)] ^= 1
    path.write_bytes(text)
    with pytest.raises(LabelsError, match="label the pool again"):
        read_labels(path)


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_a_file_cut_short_is_noticed(path: Path, kept: int) -> None:
    write_labels(path, HEADER, SOFT)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:kept]))
    with pytest.raises(LabelsError, match="label the pool again"):
        read_labels(path)


def test_other_files_are_named_for_what_they_are(path: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="cannot be read"):
        read_labels(path)
    with pytest.raises(LabelsError, match="cannot be read"):
        read_labels(tmp_path)
    write_labels(path, {"format": "of tomorrow", **HEADER}, HARD)
    with pytest.raises(LabelsError, match="of tomorrow"):
        read_labels(path)
    write_labels(path, HEADER, [])
    with pytest.raises(LabelsError, match="min-confidence"):
        read_labels(path)
    write_labels(path, HEADER, [HARD[0] | {"label": 3}])
    with pytest.raises(LabelsError, match="no file of pseudo-labels"):
        read_labels(path)
    write_labels(path, {}, HARD)
    with pytest.raises(LabelsError, match="no file of pseudo-labels"):
        read_labels(path)


def test_contents_are_told_apart() -> None:
    assert content_hash(b"one") == content_hash(b"one") != content_hash(b"two")


def test_a_pool_without_labels_is_a_mistake() -> None:
    assert not PseudoConfig().wanted
    assert PseudoConfig(labels="labels", pool="pool").wanted
    with pytest.raises(LabelsError, match=r"data\.pseudo\.pool"):
        _ = PseudoConfig(pool="pool").wanted


@pytest.mark.parametrize("wrong", [{"share": -0.1}, {"share": 1.1}, {"weight": 0.0}, {"weight": float("nan")}], ids=str)
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"data\.pseudo\."):
        PseudoConfig(**wrong)
