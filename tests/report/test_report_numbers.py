"""The numbers of a report: intervals, judgement, baselines, what is lost without positions."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from lambdanets.finished import FinishedRun, load_run
from lambdanets.layers import PositionTable
from lambdanets.report.ablation import without_positions
from lambdanets.report.baselines import nearest_neighbour, support_vectors
from lambdanets.report.inside import look_inside
from lambdanets.report.interval import wilson_interval
from lambdanets.report.judgement import Judgement, judge


@pytest.fixture(scope="module")
def finished(trained_run) -> FinishedRun:
    return load_run(trained_run)


@pytest.mark.parametrize(("correct", "total"), [(0, 1), (1, 1), (0, 510), (503, 510), (510, 510), (3, 7)])
def test_wilson_interval_is_scipys(correct: int, total: int) -> None:
    truth = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    assert wilson_interval(correct, total) == pytest.approx((truth.low, truth.high), abs=1e-12)


@pytest.mark.parametrize(("correct", "total"), [(1, 0), (0, 0), (-1, 5), (6, 5)])
def test_an_interval_of_nothing_is_refused(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match="wanted a part of at least one"):
        wilson_interval(correct, total)


def test_a_judgement_counts() -> None:
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    judged = Judgement(probabilities=probabilities, labels=torch.tensor([0, 1, 2, 2, 1]))
    assert (judged.correct, judged.total) == (3, 5)
    assert judged.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert judged.mistakes == [3, 1]  # a tenth was left for the truth, then four tenths


def test_judging_again_gives_the_recorded_result(finished: FinishedRun) -> None:
    judgement = judge(finished.task, finished.model)
    assert judgement.correct == finished.result["test_correct"]
    assert judgement.total == 510
    assert judgement.probabilities.sum(1) == pytest.approx(torch.ones(510), abs=1e-5)
    assert judgement.confusion.trace() == judgement.correct
    assert len(judgement.mistakes) == 510 - judgement.correct


def test_judging_leaves_the_mode(finished: FinishedRun) -> None:
    finished.model.train()
    before = {name: tensor.clone() for name, tensor in finished.model.state_dict().items()}
    judge(finished.task, finished.model)
    assert finished.model.training
    finished.model.eval()
    assert all(torch.equal(before[name], tensor) for name, tensor in finished.model.state_dict().items())


def test_plain_methods_reach_what_scikit_learn_says(finished: FinishedRun) -> None:
    train, test = finished.task.train, finished.task.judged
    assert nearest_neighbour(train, test) / 510 == pytest.approx(0.965, abs=0.002)  # measured on this split
    assert support_vectors(train, test) / 510 == pytest.approx(0.965, abs=0.002)


def test_without_positions_only_the_tables_are_gone(finished: FinishedRun) -> None:
    bare = without_positions(finished.model)
    tables = [part.table for part in finished.model.modules() if isinstance(part, PositionTable)]
    assert tables
    assert min(table.abs().max() for table in tables) > 0
    gone = {id(part.table) for part in bare.modules() if isinstance(part, PositionTable)}
    for (name, old), new in zip(finished.model.named_parameters(), bare.parameters(), strict=True):
        assert torch.equal(new, torch.zeros_like(old) if id(new) in gone else old), name


def test_a_look_inside_is_at_one_query_of_the_first_layer(finished: FinishedRun) -> None:
    image = finished.task.judged.plain(np.array([0])).images
    look = look_inside(finished.model, image)
    assert look is not None
    assert look.layer == "c2.0.mixer"
    assert look.content.shape == look.position.shape == (4, *look.size)
    assert 0 < look.position_share < 1
    far = look.position[:, (look.row + 3) % look.size[0] :] if look.row < look.size[0] - 3 else look.position[:, :1]
    assert far.abs().max() == 0  # its scope is 5


def test_a_network_without_lambda_layers_has_nothing_to_look_into() -> None:
    assert look_inside(torch.nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 8, 8)) is None
