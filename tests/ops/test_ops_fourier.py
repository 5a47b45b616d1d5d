"""What the Fourier orders do beyond the shared problems: folds, turns, blocks of rows, images side by side."""

import pytest
import torch

from lambdanets.ops import Problem
from lambdanets.ops.impl import fourier, fourier_rows
from lambdanets.ops.impl.fourier_rows.frame import LONG_ROWS, MIRROR_COLUMNS, Frame, fold, unfold
from lambdanets.testing import make_inputs, output_and_gradients, relative_error


def problem(size, scope, **options):
    sizes = {"b": 1, "h": 2, "k": 2, "v": 3, "query_size": size, "context_size": size, "scope": scope}
    return Problem(**{**sizes, **options, "content": False})


def frame_of(p):
    return Frame.of(p.context_size, p.reach, p.b, p.k, p.v)


FRAMES = {
    "blocks-of-rows": problem((LONG_ROWS + 3, LONG_ROWS - 3), (2 * LONG_ROWS + 5, 2 * LONG_ROWS - 7), u=2),
    "blocks-fill-up": problem((LONG_ROWS, LONG_ROWS), (2 * LONG_ROWS - 1, 2 * LONG_ROWS + 9), b=2),
    "mirrored-odd": problem((5, MIRROR_COLUMNS + 1), (9, 2 * MIRROR_COLUMNS + 1), u=2, b=2),
    "mirrored-even": problem((4, MIRROR_COLUMNS), (7, 2 * MIRROR_COLUMNS - 1)),
    "turned": problem((3, 20), (5, 3), b=2, u=2),
    "steps-with-a-shorter-last": problem((37, 21), (9, 9), k=8, v=128),
    "images-left-over": problem((20, 20), (5, 5), b=3, k=8, v=128),
    "1d-folded": problem((701,), (31,), b=2),
    "1d-folded-global": problem((150,), (299,), u=2),
    "1d-folded-in-blocks": problem((9400,), (18799,), k=1, v=1, h=1),
    "3d-blocks": problem((2, LONG_ROWS + 1, 2), (3, 2 * LONG_ROWS + 1, 3)),
}


@pytest.mark.usefixtures("nan_filled_memory")
@pytest.mark.parametrize("name", FRAMES)
def test_frames_agree_with_reference_in_float64(name):
    inputs = make_inputs(FRAMES[name])
    truth = output_and_gradients(inputs, "fourier" if FRAMES[name].n > 1000 else "reference")  # itself held to it
    got = output_and_gradients(inputs, "fourier_rows")
    for what in truth:
        assert relative_error(got[what], truth[what]) < 1e-10, what


def test_frames_are_what_their_names_say():
    frames = {name: frame_of(p) for name, p in FRAMES.items()}
    assert {name for name, fr in frames.items() if fr.blocks > 1} == {name for name in frames if "blocks" in name}
    assert {name for name, fr in frames.items() if fr.turned} == {"turned"}
    mirrored = {name for name, fr in frames.items() if fr.is_mirrored}
    assert mirrored == {"mirrored-odd", "mirrored-even", "1d-folded-in-blocks"}
    assert frames["steps-with-a-shorter-last"].rows % frames["steps-with-a-shorter-last"].step
    assert FRAMES["images-left-over"].b % frames["images-left-over"].images
    assert frames["1d-folded"].rows * frames["1d-folded"].columns > 701


@pytest.mark.parametrize("order", [fourier, fourier_rows], ids=lambda order: order.NAME)
@pytest.mark.parametrize("wanted", range(3), ids=["query", "value", "table"])
def test_gradients_that_nobody_needs_are_left_out(order, wanted):
    needs = tuple(index == wanted for index in range(3))
    p = problem((LONG_ROWS + 1, 5), (2 * LONG_ROWS + 1, 3), b=2)
    inputs = make_inputs(p)
    tensors = [inputs.query.detach(), inputs.value.detach(), inputs.table.detach()]
    grad = torch.randn(p.b, p.h, p.v, *p.query_size, dtype=torch.float64)
    some = order.backward(grad, *tensors, needs)
    all_three = order.backward(grad, *tensors, (True, True, True))
    assert [gradient is not None for gradient in some] == list(needs)
    torch.testing.assert_close(some[wanted], all_three[wanted])


@pytest.mark.parametrize(("length", "side", "reach"), [(9, 4, 2), (9, 4, 1), (31, 4, 2), (1, 3, 0)])
def test_unfold_is_the_adjoint_of_fold(length, side, reach):
    table = torch.randn(2, length, 3, dtype=torch.float64)
    folded = fold(table, 1, side, reach)
    assert folded.shape == (2, 2 * reach + 1, 2 * side - 1, 3)
    gradient = torch.randn_like(folded)
    torch.testing.assert_close((folded * gradient).sum(), (table * unfold(gradient, 1, side, length)).sum())


@pytest.mark.parametrize("order", [fourier, fourier_rows], ids=lambda order: order.NAME)
def test_extra_memory_grows_no_faster_than_the_map(order):
    small, large = (problem((side, side), (2 * side - 1,) * 2, h=4, k=16, v=64) for side in (64, 128))
    for backward in (False, True):
        assert order.cost(large, backward).extra_bytes <= 4.5 * order.cost(small, backward).extra_bytes
