import re
from itertools import pairwise
from math import isfinite
from typing import Any
from xml.etree import ElementTree

import pytest

from lambdanets.report.chart import HEIGHT, WIDTH, Curve, line_chart, log_ticks, ticks


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.1, 0.89), (0.9, 2.3), (0, 25), (1e-7, 4e-3), (-3, 1200), (0.5, 0.5000001)]
)
def test_marks_are_few_round_numbers_within(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert 2 <= len(marks) <= 8
    assert low <= min(marks) <= max(marks) <= high + 1e-9
    steps = {round((b - a) / (high - low), 6) for a, b in pairwise(marks)}
    assert len(steps) == 1


def test_a_chart_without_an_extent_has_one_mark() -> None:
    assert ticks(3.0, 3.0) == [3.0]


@pytest.mark.parametrize(("low", "high"), [(1e-3, 50), (0.1, 0.9), (2, 3), (1e-9, 1e9), (4, 4)])
def test_marks_of_a_logarithmic_axis_are_few_and_within(low: float, high: float) -> None:
    marks = log_ticks(low, high)
    assert 1 <= len(marks) <= 9
    assert low * (1 - 1e-9) <= min(marks) <= max(marks) <= high * (1 + 1e-9)
    assert marks == sorted(set(marks))


def drawn(values: list[float], **options: Any) -> ElementTree.Element:
    curve = Curve("mean", [0, 1, 2], values, has_dots=True)
    text = line_chart([curve], x_label="epoch", label="loss by epoch", **options)
    assert "nan" not in re.sub(r"aria-label=\S+", "", text)
    assert "inf" not in text
    return ElementTree.fromstring(text)


def places_of(root: ElementTree.Element) -> list[list[tuple[float, ...]]]:
    lines = [part.attrib["points"].split() for part in root if part.tag == "polyline"]
    return [[tuple(map(float, place.split(","))) for place in line] for line in lines]


@pytest.mark.parametrize("options", [{}, {"is_log": True}, {"from_zero": True}], ids=["plain", "log", "from-zero"])
@pytest.mark.parametrize(
    "values",
    [[1, 2, 3], [0.5] * 3, [float("nan"), 1, 2], [float("nan")] * 3, [1, float("inf"), 2], [0, 0, 0]],
    ids=["rising", "flat", "late", "nothing", "gap", "zero"],
)
def test_a_chart_is_well_formed_and_within_its_frame(values: list[float], options: dict[str, bool]) -> None:
    root = drawn(values, **options)
    places = [place for line in places_of(root) for place in line]
    shown = [value for value in values if isfinite(value) and (value > 0 or not options.get("is_log"))]
    assert len(places) == len(shown) == len([part for part in root if part.tag == "circle"])
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)


def test_a_line_is_broken_where_there_is_no_number() -> None:
    assert [len(line) for line in places_of(drawn([1, float("nan"), 2]))] == [1, 1]


def test_a_line_is_broken_where_a_run_went_back() -> None:
    curve = Curve("mean", [0, 1, 2, 1, 2, 3], [1.0] * 6)
    root = ElementTree.fromstring(line_chart([curve], x_label="epoch", label="loss"))
    assert [len(line) for line in places_of(root)] == [3, 3]


def test_a_logarithmic_axis_has_equal_ways_for_equal_factors() -> None:
    (line,) = places_of(drawn([1, 10, 100], is_log=True))
    (_, first), (_, second), (_, third) = line
    assert first - second == pytest.approx(second - third, abs=0.11)
    assert second > third


def test_marks_stand_where_they_belong_and_once_a_place() -> None:
    root = drawn([1, 2, 3], marks={"rollback": [1.0], "short-bad": [0.0, 0.0001, 2.0]})
    marks = [part.attrib for part in root if part.attrib.get("class") in ("rollback", "short-bad")]
    assert [mark["class"] for mark in marks] == ["rollback", "short-bad", "short-bad"]
    heights = [float(mark["y2"]) - float(mark["y1"]) for mark in marks]
    assert heights[0] > 10 * heights[1] == 10 * heights[2]
