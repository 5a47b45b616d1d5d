"""Every picture is judged once, to the last one: on any number of processes, in any batches, readable or not."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lambdanets.data.written_digits import write_digits
from lambdanets.recipes.registry import find_recipe
from lambdanets.report.judgement import judge
from lambdanets.training.classification import ClassificationTask
from lambdanets.training.distributed import ALONE, Ranks

COUNTS = ("correct", "top5_correct", "unreadable", "images")


@dataclass(frozen=True, kw_only=True)
class Counted(Ranks):
    """One of several processes, which tells what it has to add in place of adding it."""

    def sum(self, numbers: Tensor) -> Tensor:
        return numbers


def counts(task: ClassificationTask, model: nn.Module, num_ranks: int) -> dict[str, float]:
    """What so many processes count together."""
    found = [replace(task, ranks=Counted(rank=rank, count=num_ranks)).evaluate(model) for rank in range(num_ranks)]
    total = {name: sum(scores[name] for scores in found) for name in COUNTS[:-1]}
    return total | {"images": found[0]["images"]}


def digits_task(batch_size: int) -> ClassificationTask:
    config = find_recipe("digits", ["num_threads=1"])
    object.__setattr__(config, "batch_size", batch_size)  # 1 is refused, because training needs two
    task = config.task.build(config, ALONE)
    assert isinstance(task, ClassificationTask)
    return task


@pytest.mark.parametrize("num_ranks", [1, 2, 3])
def test_batches_and_processes_change_no_count(num_ranks: int) -> None:
    """R18: N = 510, batches of 1 … 64, with a plain network that is quick."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 10))
    task = digits_task(510)
    expected = counts(task, model, 1)
    assert (expected["images"], expected["unreadable"]) == (510, 0)
    assert 0 < expected["correct"] < expected["top5_correct"] < 510
    for batch_size in range(1, 65):
        object.__setattr__(task.config, "batch_size", batch_size)
        assert counts(task, model, num_ranks) == expected, batch_size


@pytest.mark.parametrize(("batch_size", "num_ranks"), [(64, 1), (7, 2), (33, 3)])
def test_a_lambda_network_counts_the_same(batch_size: int, num_ranks: int) -> None:
    task = digits_task(batch_size)
    model = task.build_model()
    nn.init.normal_(model.classifier.weight)  # type: ignore[union-attr]
    found = counts(task, model, num_ranks)
    judgement = judge(task, model)
    assert (found["correct"], found["top5_correct"]) == (judgement.correct, judgement.top5_correct)
    assert (found["images"], judgement.total) == (510, 510)


SPOILT = {
    0: b"",
    1: b"Dear reader",
    50: b"\x89PNG\r\n\x1a\n" + bytes(40),
    100: b"\xff\xd8\xff\xe0" + bytes(9),
    509: b"GIF89a",
}


@pytest.mark.parametrize("num_ranks", [1, 2, 3])
def test_what_cannot_be_read_is_wrong_and_nothing_stands_in_for_it(tmp_path: Path, num_ranks: int) -> None:
    """R13: five of 510 pictures are none, in places where a neighbour could be taken for them."""
    write_digits(tmp_path / "data", "tree")
    settings = [f"data.path={tmp_path / 'data'}", "model=lambda_tiny", "data.image_size=32", "batch_size=60"]
    plain = ["precision.dtype=float32", "num_threads=1", "loader.workers=0", "device=cpu"]
    config = find_recipe("imagenet_90", [*settings, *plain])
    task = config.task.build(config, ALONE)
    assert isinstance(task, ClassificationTask)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    whole = judge(task, model)
    names = [task.judged.name(index) for index in SPOILT]  # type: ignore[attr-defined]
    for name, content in zip(names, SPOILT.values(), strict=True):
        (tmp_path / "data" / name).write_bytes(content)

    found, judgement = counts(task, model, num_ranks), judge(task, model)
    lost = [index for index in SPOILT if whole.right[index]]
    assert found["unreadable"] == len(SPOILT) == len(judgement.notes)
    assert found["images"] == judgement.total == 510
    assert found["correct"] == judgement.correct == whole.correct - len(lost)
    assert found["top5_correct"] == judgement.top5_correct
    assert judgement.confusion.sum() == 510 - len(SPOILT)
    assert judgement.class_totals.sum() == 510
    assert all(name in note for name, note in zip(names, judgement.notes, strict=True))
    kept = [index for index in range(510) if index not in SPOILT]
    assert torch.equal(judgement.probabilities[kept], whole.probabilities[kept])
