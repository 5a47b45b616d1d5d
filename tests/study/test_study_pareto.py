from pathlib import Path

import pytest

from lambdanets.models import list_models
from lambdanets.study.measuring import TOO_SLOW
from lambdanets.study.pareto import Pareto, seconds_at
from lambdanets.study.pareto_members import members
from lambdanets.study.part import Answer, StudyOptions

PART = Pareto()


def asked(tmp_path: Path, *, quick: bool = False) -> StudyOptions:
    return StudyOptions(folder=tmp_path, quick=quick)


def as_printed(options: StudyOptions) -> dict[str, Answer]:
    """Answers as if this machine were the paper's, a hundred times as slow; inference three times as fast."""
    printed = {member.network.key: member.seconds or 1e-4 for member in members()}
    answers = {}
    for piece in PART.pieces(options):
        network, _, what = piece.key.rsplit("-", 2)
        factor = 100 if what == "training" else 100 / 3
        answers[piece.key] = {"seconds": factor * printed[network], "reference": factor * 1e-4, "batch": 2}
    return answers


def test_all_of_the_papers_points_are_there() -> None:
    counts = {kind: sum(member.kind == kind for member in members()) for kind in {m.kind for m in members()}}
    assert counts == {"LambdaResNet": 12, "EfficientNet": 8, "ResNet": 3, "ResNet + SE": 3}


def test_every_network_has_its_name() -> None:
    timm = pytest.importorskip("timm")
    for member in members():
        names = list_models() if member.network.library == "lambdanets" else timm.list_models()
        assert member.network.name in names


def test_accuracies_that_are_not_printed_are_left_out() -> None:
    assert [member.label for member in members() if member.top1 is None] == [
        "ResNet-101 @ 224",
        "ResNet-152 @ 224",
        "ResNet-101 + SE @ 224",
        "ResNet-152 + SE @ 224",
    ]


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "usual"])
def test_a_machine_like_the_papers_gives_its_speed_ups(tmp_path: Path, quick: bool) -> None:
    options = asked(tmp_path, quick=quick)
    found = PART.shown(options, as_printed(options))
    gains = {row[0]: row[1:] for row in found.tables[1].rows}
    for _, _, interpolated, training, inference in gains.values():
        assert training == pytest.approx(interpolated) == pytest.approx(inference)
    if not quick:
        assert gains["EfficientNet-B6 @ 528"][1:3] == (4.4, pytest.approx(3.03 / 0.70))
        assert gains["EfficientNet-B7 @ 600"][1:3] == (3.2, pytest.approx(6.04 / 1.91))
    assert "EfficientNet-B0 @ 224" not in gains  # less accurate than every LambdaResNet
    assert found.figures[0].png.startswith(b"\x89PNG")
    assert any("Every accuracy is printed in the paper; none was found out here" in part for part in found.summary)


def test_what_was_too_slow_is_told_and_not_used(tmp_path: Path) -> None:
    options = asked(tmp_path)
    answers = as_printed(options)
    answers["efficientnet_b7-600-b4-training"] = {"failed": TOO_SLOW, "batch": 4}
    found = PART.shown(options, answers)
    row = next(row for row in found.tables[0].rows if row[0] == "EfficientNet-B7 @ 600")
    assert row[3] == TOO_SLOW
    gain = next(row for row in found.tables[1].rows if row[0] == "EfficientNet-B7 @ 600")
    assert gain[4] is None
    assert gain[5] is not None
    assert "not measured by training here" in found.summary[1]


@pytest.mark.parametrize(
    ("top1", "want"),
    [(70.0, 1.0), (72.0, 2.0), (75.0, 5.0), (77.5, 7.5), (80.0, 10.0), (69.9, None), (80.1, None)],
)
def test_times_lie_on_the_line_between_neighbours(top1: float, want: float | None) -> None:
    found = seconds_at(top1, [(70.0, 1.0), (74.0, 3.0), (75.0, 5.0), (80.0, 10.0)])
    assert found == (None if want is None else pytest.approx(want))


def test_no_curve_has_no_times() -> None:
    assert seconds_at(80, []) is None
