"""The controlled study of long range: its pieces, its tables, and whether its task is one."""

import csv
from io import StringIO

import pytest

from lambdanets.models import create_model
from lambdanets.models.counting import count_parameters
from lambdanets.study.long_range import ABLATIONS, MECHANISMS, SEEDS, LongRange, Mechanism
from lambdanets.study.part import StudyOptions
from lambdanets.study.probe_runs import answer_of
from lambdanets.study.tables import csv_text
from lambdanets.training.folder import RunFolder
from lambdanets.training.run import read_result

FEW = ["data.num_train=64", "data.num_test=12"]


def options(tmp_path, **more):
    return StudyOptions(folder=tmp_path, **more)


def invented(pieces):
    """An answer to every piece: seed s of a mechanism is right 50 + s % of the time."""
    answers = {}
    for piece in pieces:
        right = 0.5 + int(piece.key[-1]) / 100
        answers[piece.key] = {"parameters": 55_000, "accuracy": right, "judged": 1500}
        answers[piece.key]["by_distance"] = {"22": right + 0.1, "25": right, "28": right - 0.1}
    return answers


def test_every_mechanism_is_trained_with_every_seed_on_both_tasks(tmp_path):
    pieces = LongRange().pieces(options(tmp_path))
    assert len({piece.key for piece in pieces}) == len(pieces) == 2 * len(MECHANISMS) * len(SEEDS)
    assert all(piece.beside for piece in pieces)


def test_the_ablations_are_for_the_full_study(tmp_path):
    more = {piece.key for piece in LongRange().pieces(options(tmp_path, full=True))}
    assert len(more - {piece.key for piece in LongRange().pieces(options(tmp_path))}) == len(ABLATIONS) * len(SEEDS)


def test_tables_say_means_and_spreads_over_seeds(tmp_path):
    chosen = options(tmp_path, full=True)
    shown = LongRange().shown(chosen, invented(LongRange().pieces(chosen)))
    names = [table.name for table in shown.tables]
    assert names == ["long-range", "long-range-digits", "long-range-ablations"]
    header, *rows = csv.reader(StringIO(csv_text(shown.tables[0])))
    last = dict(zip(header, rows[-1], strict=True))
    assert last["mixing of positions"] == "lambda layer"
    assert float(last["top-1 of ResNet-50 on ImageNet [%] (paper)"]) == 78.4
    assert float(last["right [%] (measured here)"]) == pytest.approx(51)
    assert float(last["spread over seeds [points] (measured here)"]) == pytest.approx(2)
    assert float(last["right at 28 pixels [%] (measured here)"]) == pytest.approx(41)
    assert "lambda layer 51.0 % (50.0 to 52.0)" in shown.summary[-1]


def test_quick_says_that_it_compares_nothing(tmp_path):
    chosen = options(tmp_path, quick=True)
    shown = LongRange().shown(chosen, invented(LongRange().pieces(chosen)))
    assert "compares nothing" in " ".join(shown.summary)
    assert len(shown.tables[0].rows) == 3


@pytest.mark.parametrize("one", [*MECHANISMS, *ABLATIONS], ids=lambda one: one.label)
def test_networks_can_be_built_and_those_compared_are_of_one_size(one):
    count = count_parameters(create_model(one.model, num_classes=2, in_chans=1, **one.options))
    assert one in ABLATIONS or 53_000 < count < 59_000


def test_an_answer_counts_by_distance_and_is_found_again(tmp_path):
    arguments = {"path": str(tmp_path / "run"), "recipe": "long_range", "device": "cpu"}
    arguments["assignments"] = ["model=probe_patches", "seed=1", *FEW]
    first = answer_of(**arguments)
    assert first["judged"] == 12
    assert first["accuracy"] == pytest.approx(sum(first["by_distance"].values()) / 3)
    result = read_result(RunFolder(tmp_path / "run"))
    assert result is not None
    assert result["test_accuracy"] == first["accuracy"]
    assert answer_of(**arguments) == first


def trained_wholly(tmp_path, model):
    run = Mechanism(label="", model=model, seconds=0).run("long_range", 0)
    return answer_of(path=str(tmp_path / model), recipe=run.recipe, assignments=run.assignments, device="cpu")


@pytest.mark.slow
def test_the_task_can_be_learned_by_what_sees_far(tmp_path):
    assert trained_wholly(tmp_path, "probe_dilated")["accuracy"] >= 0.9


@pytest.mark.slow
def test_the_task_cannot_be_learned_from_patches(tmp_path):
    """That it could not be by any training, tests/data/test_data_like_marks.py shows."""
    assert trained_wholly(tmp_path, "probe_patches")["accuracy"] <= 0.55
