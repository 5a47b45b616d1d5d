import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from lambdanets.report.chart import HEIGHT, WIDTH, line_chart, ticks


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


@pytest.mark.parametrize(
    "values", [[1, 2, 3], [0.5] * 3, [float("nan"), 1, 2], [float("nan")] * 3], ids=["rising", "flat", "gap", "nothing"]
)
def test_a_chart_is_well_formed_and_within_its_frame(values: list[float]) -> None:
    drawn = line_chart([0, 1, 2], {"mean": values}, x_label="epoch", label="loss by epoch")
    root = ElementTree.fromstring(drawn)
    (line,) = (part for part in root if part.tag == "polyline")
    places = [tuple(map(float, place.split(","))) for place in line.attrib["points"].split()]
    assert len(places) == sum(value == value for value in values)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    assert "nan" not in re.sub(r"aria-label=\S+", "", drawn)
