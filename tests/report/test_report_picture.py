"""Signs of weights that are drawn outlast a grey printer."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lambdanets.report.picture import SIDE, by_sign, cell_of, signed


def grey_cells(weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """(y, x, pixels): what a grey printer makes of each weight, white paper below."""
    grey = np.asarray(signed(weights, 1.0).convert("L"), dtype=np.float64)
    (rows, columns), cell = weights.shape, cell_of(weights.shape)
    return grey.reshape(rows, cell, columns, cell).swapaxes(1, 2).reshape(rows, columns, -1)


@pytest.mark.parametrize("size", [(8, 8), (5, 7), (14, 14)])
@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_negative_weights_are_hatched_in_grey_and_positive_ones_are_not(size: tuple[int, int], strength: float) -> None:
    weights = strength * np.where(np.add.outer(*map(np.arange, size)) % 3 == 0, -1.0, 1.0)
    contrast = np.ptp(grey_cells(weights), -1)
    assert (contrast[weights > 0] == 0).all()
    assert (contrast[weights < 0] > 150 * strength).all()


def test_a_region_of_weights_smaller_than_the_hatch_is_hatched_too() -> None:
    smooth = -np.ones((112, 112))
    assert np.ptp(np.asarray(signed(smooth, 1.0).convert("L"))) > 150
    assert np.ptp(np.asarray(signed(-smooth, 1.0).convert("L"))) == 0


def test_no_weight_is_white_and_maps_are_about_as_large() -> None:
    assert np.asarray(signed(np.zeros((3, 4)), 0.0)).min() == 255
    assert signed(np.zeros((7, 5)), 1.0).size == (5 * (SIDE // 7), 7 * (SIDE // 7))
    assert by_sign(np.zeros((300, 2)), np.zeros((300, 2)), cell_of((300, 2))).shape == (300, 2, 4)
