"""Queries in tiles: the expanded table holds what the pairs read, and its gradient goes back where it came from."""

import itertools

import pytest
import torch

from lambdanets.ops.blocks import Block
from lambdanets.ops.line import fold_map, fold_table, folded_sides, unfold_map, unfold_table_gradient
from lambdanets.ops.offsets import toeplitz
from lambdanets.ops.tiles import Tiling, add_expanded, expand_table, fit_gradient, fit_table, spans, table_reach

MAPS = [((5, 7), (3, 5), 3, 2), ((4, 6), (11, 3), 6, 4), ((6, 4), (5, 9), 1, 1), ((2, 3, 5), (3, 5, 3), 2, 3)]


def tiling(size, sides, tile, block, nearly=1.0):
    return Tiling(size, table_reach(sides, size, nearly), tile, block)


@pytest.mark.parametrize("nearly", [0.5, 1.0])
@pytest.mark.parametrize(("size", "sides", "tile", "block"), MAPS)
def test_expanded_table_holds_what_every_pair_reads(size, sides, tile, block, nearly):
    table, t = torch.randn(2, 3, *sides), tiling(size, sides, tile, block, nearly)
    pairs = toeplitz(table, size)  # k u *lead y x *lead' y' x'
    fitted, axes = fit_table(table, size, t.reach), len(size)
    for columns, box in itertools.product(t.tiles, t.boxes()):
        expanded = expand_table(fitted, t, columns, box)  # x k y'-y *lead' u x'
        left, right = t.context(columns)
        for x, y in itertools.product(range(*columns), range(size[-2])):
            seen = pairs[(slice(None), slice(None), *box.place, y, x, *box.context)][..., left:right]
            rows = [row for row in range(size[-2]) if abs(row - y) <= t.reach[-2]]
            seen = seen[..., rows, :].movedim(-2, 1).movedim(2, axes)  # k y' *lead' u x'
            offsets = [row - y + t.reach[-2] for row in rows]
            torch.testing.assert_close(expanded[x - columns[0]][:, offsets], seen)


@pytest.mark.parametrize(("size", "sides", "tile", "block"), MAPS)
def test_gradient_of_the_expanded_table_is_the_adjoint(size, sides, tile, block):
    table, t = torch.randn(2, 3, *sides, dtype=torch.float64), tiling(size, sides, tile, block, 0.5)
    fitted = fit_table(table, size, t.reach)
    total, inner = torch.zeros_like(fitted), 0.0
    for columns, box in itertools.product(t.tiles, t.boxes()):
        expanded = expand_table(fitted, t, columns, box)
        towards = torch.randn_like(expanded)
        add_expanded(total, towards, t, columns, box)
        inner += (expanded * towards).sum().item()
    assert (fit_gradient(total, table, size) * table).sum().item() == pytest.approx(inner)


@pytest.mark.parametrize(("size", "sides", "tile", "block"), MAPS)
def test_runs_cover_what_each_query_row_sees(size, sides, tile, block):
    t = tiling(size, sides, tile, block)
    for rows in t.blocks:
        made = Block(rows, 2, 3, 10, t)
        seen = [row for run in made.runs for row in run.each()]
        assert [row.rows.start + rows[0] for row in seen] == list(range(*rows))
        for y, row in zip(range(*rows), seen, strict=True):
            reached = [other for other in range(size[-2]) if abs(other - y) <= t.reach[-2]]
            assert (row.context, row.length) == (reached[0] * 10, len(reached) * 10)
            assert made.offsets.start + row.offset == (reached[0] - y + t.reach[-2]) * 10


@pytest.mark.parametrize(("positions", "side", "width"), [(10, 5, 4), (9, 17, 4), (33, 1, 8), (7, 3, 16)])
def test_a_line_folds_into_a_map_with_the_same_offsets(positions, side, width):
    table, line = torch.randn(1, 1, side), torch.arange(positions) + 1.0
    folded = fold_map(line, width)
    (rows, columns), sides = folded_sides(positions, side, width)
    assert folded.shape == (rows, columns)
    assert fold_table(table, width).shape[2:] == sides
    torch.testing.assert_close(unfold_map(folded, positions), line)
    pairs = toeplitz(fold_table(table, width), folded.shape).reshape(rows * columns, -1)[:positions, :positions]
    torch.testing.assert_close(pairs, toeplitz(table, (positions,))[0, 0])
    towards = torch.randn(1, 1, *sides)
    inner = (fold_table(table, width) * towards).sum()
    torch.testing.assert_close((unfold_table_gradient(towards, table, width) * table).sum(), inner)


def test_spans_are_nearly_equal_and_cover():
    assert spans(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert spans(9, 8) == [(0, 5), (5, 9)]
    assert spans(3, 8) == [(0, 3)]
