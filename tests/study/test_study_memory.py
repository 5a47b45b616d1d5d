"""Table 4's memory column to the printed digit; what grows with the batch and what not; out of memory is a result."""

import csv

import pytest

from lambdanets.study import memory
from lambdanets.study.memory import LAYERS, LIMITS, Memory, key_of
from lambdanets.study.memory_formulas import as_printed, table_4_bytes
from lambdanets.study.part import StudyOptions
from lambdanets.study.tables import csv_text

OPTIONS = [pytest.param(True, id="quick"), pytest.param(False, id="standard")]


def fake_answers(options):
    """Peaks that are what the formulas keep; more than the limit is out of memory."""
    answers = {}
    for piece in Memory().pieces(options):
        layer = next(layer for layer in LAYERS if piece.key.startswith(f"{layer.key}-side"))
        side, batch = (int(word.lstrip("sideb")) for word in piece.key.removeprefix(f"{layer.key}-").split("-")[:2])
        wanted = 4 * layer.pairs(batch, side**2) + 2**20 * batch
        answers[piece.key] = {"peak": "out of memory" if wanted > LIMITS["cpu"] else wanted}
    return answers


def columns_of(table):
    heading, *rows = csv.reader(csv_text(table).splitlines())
    return {name: [row[place] for row in rows] for place, name in enumerate(heading)}


def test_the_counted_column_has_the_four_figures(tmp_path):
    options = StudyOptions(folder=tmp_path, quick=True)
    table = columns_of(Memory().shown(options, fake_answers(options)).tables[0])
    counted = dict(zip(table["layer"], table["memory [GB] (counted)"], strict=True))
    printed = dict(zip(table["layer"], table["memory [GB] (paper)"], strict=True))
    rows = ("self-attention, global", "lambda layer", "lambda layer, k = 8", "lambda layer, shared embeddings")
    assert [counted[row] for row in rows] == ["120.8", "1.89", "0.944", "0.629"]
    assert [printed[row] for row in rows] == ["120", "1.9", "0.95", "0.63"]


def test_bytes_of_table_4():
    n = 56**2
    assert table_4_bytes("global") == 128 * 8 * n**2 * 4 * 3
    assert table_4_bytes("lambda") == 3 * 16 * n**2 * 4 == 2 * table_4_bytes("lambda-k8")
    assert table_4_bytes("lambda-shared") == 16 * n**2 * 4


@pytest.mark.parametrize(("size", "text"), [(120.846, "120.8"), (4.3148, "4.31"), (0.6294, "0.629"), (2.0, "2.00")])
def test_sizes_as_papers_print_them(size, text):
    assert as_printed(size) == text


@pytest.mark.parametrize("quick", OPTIONS)
def test_out_of_memory_is_shown_as_a_result(tmp_path, quick):
    options = StudyOptions(folder=tmp_path, quick=quick)
    shown = Memory().shown(options, fake_answers(options))
    batch = columns_of(next(table for table in shown.tables if table.name == "memory-batch"))
    place = batch["layer"].index("self-attention, global")
    assert batch["b = 1 [MiB] (measured here)"][place] == repr(4 * 8 * 56**4 / 2**20 + 1)
    assert batch["b = 128 [MiB] (measured here)"][place] == "out of memory"
    assert "these are out of memory: self-attention, global from" in " ".join(shown.summary)
    assert shown.figures[0].png.startswith(b"\x89PNG")


def test_what_was_too_slow_is_not_told_as_out_of_memory(tmp_path):
    options = StudyOptions(folder=tmp_path, quick=True)
    answers = {
        key: answer | ({"peak": "too slow"} if "-b8-" in key else {}) for key, answer in fake_answers(options).items()
    }
    told = Memory().shown(options, answers).summary[-1]
    assert "self-attention, global from 32 images on" in told
    assert "axial" not in told


def test_attention_maps_grow_with_the_batch_and_tables_do_not():
    by_key = {layer.key: layer for layer in LAYERS}
    for key, growth in (("global", 128), ("axial", 128), ("local", 128), ("lambda", 1), ("lambda-convolution", 1)):
        assert by_key[key].pairs(128, 56**2) == growth * by_key[key].pairs(1, 56**2) > 0


def test_a_lambda_layer_fits_where_attention_does_not():
    assert 0 < memory.measure("lambda", 56, 1, "cpu", 2**28)["peak"] < 4 * 8 * 56**4
    assert memory.measure("global", 56, 1, "cpu", 2**28) == {"peak": "out of memory"}


def test_keys_say_what_the_answer_depends_on(tmp_path):
    quick, standard = (Memory().pieces(StudyOptions(folder=tmp_path, quick=quick)) for quick in (True, False))
    assert {piece.key for piece in quick} & {piece.key for piece in standard}
    assert key_of(LAYERS[0], 56, 1, 2**32) in {piece.key for piece in standard}
    assert all(piece.beside for piece in standard)
    cuda = Memory().pieces(StudyOptions(folder=tmp_path, device="cuda"))
    assert not any(piece.beside for piece in cuda)
