import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from lambdanets.models import list_models
from lambdanets.study import throughput
from lambdanets.study.measuring import OUT_OF_MEMORY
from lambdanets.study.paper import TABLE_12
from lambdanets.study.part import Answer, StudyOptions
from lambdanets.study.shown import Shown, Table
from lambdanets.study.speed import Speed, rank_agreement
from lambdanets.study.speed_rows import rows
from lambdanets.study.throughput import Network, Setting, pair, reference_seconds, relative, timed

PART = Speed()
TINY = {"name": "lambda_tiny", "side": 32}


def asked(tmp_path: Path, *, quick: bool = True) -> StudyOptions:
    return StudyOptions(folder=tmp_path, quick=quick)


def as_printed(options: StudyOptions) -> dict[str, Answer]:
    """Answers as if this machine were the paper's, ten times as slow; training three times slower still."""
    speeds = {row.model: row.throughput for row in TABLE_12}
    return {
        piece.key: {
            "seconds": (10 / speeds.get(piece.key.split("-")[0], 100)) * (3 if "training" in piece.key else 1),
            "reference": (10 / 7240) * (3 if "training" in piece.key else 1),
            "batch": 4,
        }
        for piece in PART.pieces(options)
    }


def shown(options: StudyOptions, changed: Mapping[str, Answer] | None = None) -> Shown:
    return PART.shown(options, as_printed(options) | dict(changed or {}))


def row_of(table: Table, label: str) -> tuple[object, ...]:
    return next(row for row in table.rows if row[0] == label)


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "usual"])
def test_pieces_have_keys_of_their_own(tmp_path: Path, quick: bool) -> None:
    pieces = PART.pieces(asked(tmp_path, quick=quick))
    assert len({piece.key for piece in pieces}) == len(pieces)
    assert not any(piece.beside for piece in pieces)  # what is timed is alone
    assert {"inference", "training"} == {piece.key.rsplit("-", 1)[1] for piece in pieces}


def test_every_stage_of_table_12_is_there() -> None:
    assert [row.label for row in rows() if row.group == "stages"] == [row.stages for row in TABLE_12[1:]]


def test_every_network_can_be_made() -> None:
    assert {row.model for row in rows()} <= set(list_models())


def test_the_papers_own_speeds_agree_with_it(tmp_path: Path) -> None:
    found = shown(asked(tmp_path, quick=False))
    _, stages = found.tables
    for row in TABLE_12[1:]:
        _, printed, there, here, ratio, *_ = row_of(stages, row.stages)
        assert printed == row.throughput
        assert here == pytest.approx(row.throughput / 10)
        assert ratio == pytest.approx(there) == pytest.approx(row.throughput / 7240)
    assert "Table 12, inference, 8 networks" in found.summary[2]
    assert "ρ = 1.00 and Kendall's τ = 1.00" in found.summary[2]
    assert [figure.png[:4] for figure in found.figures] == [b"\x89PNG"]


def test_running_out_of_memory_stands_in_the_table(tmp_path: Path) -> None:
    options = asked(tmp_path)
    key = next(piece.key for piece in PART.pieces(options) if piece.key.startswith("resnet50_ccll"))
    _, stages = shown(options, {key: {"failed": OUT_OF_MEMORY, "batch": 4}}).tables
    assert row_of(stages, "CCLL")[3:5] == (OUT_OF_MEMORY, OUT_OF_MEMORY)
    assert isinstance(row_of(stages, "CCLL")[6], float)  # the training step, which had enough


def test_orders_are_compared_by_rank() -> None:
    assert rank_agreement([(1, 10), (2, 20), (3, 3000)]) == (1, 1)
    assert rank_agreement([(1, 3), (2, 2), (3, 1)]) == (-1, -1)
    rho, tau = rank_agreement([(1, 1), (2, 3), (3, 2), (4, 4)])
    assert rho == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert tau == pytest.approx((5 - 1) / 6)


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_two_networks_are_timed(training: bool) -> None:
    small = TINY | {"options": {"dim_key": 4}}
    took = pair(network=TINY, reference=small, training=training, batch=2, seconds=0.0, rounds=1, device="cpu")
    assert all(0 < seconds < 10 for seconds in took.values())
    assert 0 < relative(took) < math.inf


def test_a_process_of_its_own_answers() -> None:
    setting = Setting(batch=2, seconds=0.0, rounds=1, timeout=250)
    answer = timed(Network(**TINY), Network(**TINY), training=False, setting=setting)
    assert answer["batch"] == 2
    assert reference_seconds([answer]) == answer["reference"] > 0


@pytest.mark.parametrize(
    ("may_halve", "enough", "want"),
    [(True, 2, {"seconds": 1.0, "reference": 1.0, "batch": 2}), (True, 0, 1), (False, 2, 8)],
    ids=["halved", "not even one", "as asked"],
)
def test_batches_that_are_too_large(
    monkeypatch: pytest.MonkeyPatch, may_halve: bool, enough: int, want: Answer | int
) -> None:
    def answer(function: str, *, batch: int, **rest: object) -> Answer | str:
        return OUT_OF_MEMORY if batch > enough else {"seconds": 1.0, "reference": 1.0}

    monkeypatch.setattr(throughput, "fresh_answer", answer)
    setting = Setting(batch=8, seconds=0.0, rounds=1, timeout=1, may_halve=may_halve)
    got = timed(Network(**TINY), Network(**TINY), training=True, setting=setting)
    assert got == ({"failed": OUT_OF_MEMORY, "batch": want} if isinstance(want, int) else want)
