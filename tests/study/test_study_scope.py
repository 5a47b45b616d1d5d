"""Orders against scope: counts that follow the formulas, times for all that are worth it, the best named."""

import pytest

from lambdanets.ops.choice import ORDERS, choose
from lambdanets.study import scope
from lambdanets.study.order_times import tensors, time_orders, worth_measuring
from lambdanets.study.part import StudyOptions
from lambdanets.study.scope import Map, Scope

SMALL = Map(stage="c5", side=7, value=8, batch=2, scopes=(3, 13))


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.setattr(scope, "QUICK", (SMALL,))
    return StudyOptions(folder=tmp_path, quick=True)


def test_every_order_that_is_worth_it_is_timed_and_counted():
    problem = SMALL.problem(3, "cpu")
    found = time_orders(problem, 0.01)
    assert set(found["orders"]) == {order.NAME for order in worth_measuring(problem)}
    assert choose(problem).NAME in found["orders"]
    assert found["chosen"] == [choose(problem).NAME, choose(problem, backward=True).NAME]
    for order in ORDERS:
        if order.NAME in found["orders"]:
            both = found["orders"][order.NAME]
            assert both["forward"]["multiply_adds"] == order.cost(problem, False).multiply_adds
            assert both["backward"]["multiply_adds"] == order.cost(problem, True).multiply_adds
            assert both["forward"]["seconds"] > 0
            assert both["backward"]["extra_bytes"] > 0


def test_orders_agree_on_what_is_timed():
    problem = SMALL.problem(3, "cpu")
    query, value, table, _ = tensors(problem)
    results = [order.forward(query, value, table) for order in worth_measuring(problem)]
    assert len(results) > 2
    for result in results:
        assert (result - results[0]).abs().max() < 1e-4


def test_tables_and_figure(options):
    part = Scope()
    answers = {piece.key: piece.work() for piece in part.pieces(options)}
    assert len(answers) == len(SMALL.scopes)
    shown = part.shown(options, answers)
    best, orders = shown.tables
    assert [row[1] for row in best.rows] == ["3", "13 (global)"]
    assert best.rows[0][2] == 3 * 2 * 49 * 9 * 16 * 8 / 1e9
    assert best.rows[1][2] == 3 * 2 * 49 * 49 * 16 * 8 / 1e9  # all pairs, not a window larger than the map
    assert len(orders.rows) == sum(len(answer["orders"]) for answer in answers.values())
    assert shown.figures[0].png.startswith(b"\x89PNG")
    for row in best.rows:
        mine = [other for other in orders.rows if other[1] == row[1]]
        assert row[7] == min(other[6] for other in mine)


@pytest.mark.parametrize("stage", [*scope.QUICK, *scope.STANDARD], ids=lambda stage: f"{stage.stage}-{stage.batch}")
def test_the_last_scope_is_global(stage):
    assert stage.scopes[-1] == 2 * stage.side - 1
    assert stage.name_of(stage.scopes[-1]).endswith("(global)")
    assert list(stage.scopes) == sorted(set(stage.scopes))
    assert all(r % 2 for r in stage.scopes)
