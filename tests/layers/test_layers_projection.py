import pytest
import torch

from lambdanets.layers import projection
from lambdanets.layers.projection import Affine, project


@pytest.mark.parametrize("wide", [0, 10**9], ids=["one-product", "a-product-a-weight"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels-last"])
@pytest.mark.parametrize("b", [1, 2])
def test_maps_and_gradients_are_those_of_a_1x1_convolution(
    b: int, layout: torch.memory_format, wide: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "WIDE", wide)
    x = torch.randn(b, 5, 3, 4, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    weights = [torch.randn(c, 5, dtype=torch.float64, requires_grad=True) for c in (6, 1, 3)]
    got = project(x, *(Affine(weight) for weight in weights))
    want = [torch.nn.functional.conv2d(x, weight[:, :, None, None]) for weight in weights]
    cotangents = [torch.randn_like(part) for part in want]
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs)
    for ours, theirs in zip(
        torch.autograd.grad(got, [x, *weights], cotangents),
        torch.autograd.grad(want, [x, *weights], cotangents),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
