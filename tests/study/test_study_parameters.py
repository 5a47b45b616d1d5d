"""The counts are the paper's to the printed digit, but for the two that are known and explained."""

import csv

import pytest

from lambdanets.study.paper import FAMILY_COUNTS, TABLE_3, TABLE_12
from lambdanets.study.parameters import LAYERS, Network, Parameters, count, verdict
from lambdanets.study.part import StudyOptions
from lambdanets.study.tables import csv_text


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    options, part = StudyOptions(folder=tmp_path_factory.mktemp("study")), Parameters()
    return part.shown(options, {piece.key: piece.work() for piece in part.pieces(options)})


def columns_of(table):
    heading, *rows = csv.reader(csv_text(table).splitlines())
    return {name: [row[place] for row in rows] for place, name in enumerate(heading)}


def test_what_the_paper_prints_is_counted_but_for_ccll_and_152(shown):
    missed = {
        row[0]: row[place]
        for table in shown.tables
        for place in (next(i for i, column in enumerate(table.columns) if column.name == "equals the print"),)
        for row in table.rows
        if row[place] not in (None, "yes")
    }
    assert missed == {"CCLL": "no, +0.16", "lambda_resnet152": "no, +0.06"}


def test_every_printed_row_is_there(shown):
    layers, stages, family = map(columns_of, shown.tables)
    assert layers["layer"][: len(TABLE_3)] == [row.layer for row in TABLE_3]
    assert stages["parameters [M] (paper)"] == [repr(row.parameters) for row in TABLE_12]
    assert [number for number in family["parameters [M] (paper)"] if number] == [
        str(row.parameters) for row in FAMILY_COUNTS
    ]


def test_counts_of_table_3_to_the_printed_digit(shown):
    layers = columns_of(shown.tables[0])
    counted = dict(zip(layers["layer"], layers["parameters [M] (counted)"], strict=True))
    rounded = {name: round(float(number), 1) for name, number in counted.items() if number}
    assert rounded == {
        "convolution": 25.6, "+ channel attention (SE)": 28.1, "+ linear attention (Shen 2018)": 19.3,
        "+ relative self-attention (Bello 2019)": 25.8, "local relative self-attention (Ramachandran 2019)": 18.0,
        "lambda layer": 15.0, "lambda layer, u = 4": 16.0, "global relative self-attention": 19.3,
        "axial relative self-attention": 19.4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("count", "printed", "digits", "said"),
    [
        (25_557_032, 25.6, 1, "yes"), (15_560_000, 15.4, 1, "no, +0.16"), (35_080_000, 35, 0, "yes"),
        (25_540_000, 25.6, 1, "no, -0.06"),
    ],
)  # fmt: skip
def test_a_verdict_rounds_as_print_does(count, printed, digits, said):
    assert verdict(count, printed, digits) == said


def test_options_reach_the_network():
    assert count(LAYERS["lambda-u4"])["parameters"] > count(Network(name="resnet50_llll"))["parameters"]
    keys = [network.key for network in LAYERS.values()]
    assert len(set(keys)) == len(keys)
