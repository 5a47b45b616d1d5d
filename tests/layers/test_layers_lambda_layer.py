"""The layer: the paper's counts, right gradients at every batch and layout, masks, scopes, precision."""

import copy
import itertools

import pytest
import torch
from torch import nn

from lambdanets.layers import LambdaLayer, PositionTable, global_scope
from lambdanets.ops.choice import ORDERS


@pytest.mark.parametrize(("width", "count"), [(64, 14_768), (128, 22_992), (256, 45_584), (512, 115_344)])
def test_parameters_at_the_defaults(width, count):
    assert sum(p.numel() for p in LambdaLayer(width).parameters()) == count


@pytest.mark.parametrize(
    "options",
    [{"num_heads": 8, "dim_intra": 4, "scope": 7}, {"dim_key": 8, "scope": 15}, {"num_heads": 1, "dim_intra": 2}],
    ids=str,
)
def test_parameters_follow_the_formula(options):
    w, k, h, u, r = 64, *({"dim_key": 16, "num_heads": 4, "dim_intra": 1, "scope": 23} | options).values()
    formula = w * k * h + w * k * u + w * (w // h) * u + 2 * k * h + 2 * u * w // h + r**2 * k * u
    assert sum(p.numel() for p in LambdaLayer(w, **options).parameters()) == formula


def test_initialisation_is_the_papers():
    big = LambdaLayer(512, dim_key=64)
    assert big.to_key.weight.std().item() == pytest.approx(512**-0.5, rel=0.05)
    assert big.to_value.weight.std().item() == pytest.approx(512**-0.5, rel=0.05)
    assert big.to_query.weight.std().item() == pytest.approx((512 * 64) ** -0.5, rel=0.05)
    assert big.positions.table.std().item() == pytest.approx(1, rel=0.05)


class PlainNorm(nn.Module):
    """Batch normalisation from elementary operations, so that PyTorch's own BatchNorm cannot mislead us."""

    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, x):
        axes = [0, *range(2, x.ndim)]
        shape = [1, -1] + [1] * (x.ndim - 2)
        centred = x - x.mean(axes, keepdim=True)
        scale = torch.rsqrt(centred.square().mean(axes, keepdim=True) + self.norm.eps)
        return centred * scale * self.norm.weight.reshape(shape) + self.norm.bias.reshape(shape)


VARIANTS = {
    "2d": {},
    "1d": {"num_axes": 1},
    "3d": {"num_axes": 3},
    "content only": {"scope": None},
    "position only": {"content": False},
    "intra-depth, stride": {"dim_intra": 2, "stride": 2},
}


GRADIENT_CASES = [
    (variant, b, channels_last, impl)
    for variant, b, channels_last, impl in itertools.product(
        VARIANTS, (1, 2, 5), (False, True), ("auto", *(order.NAME for order in ORDERS))
    )
    if not (channels_last and "num_axes" in VARIANTS[variant]) and not (impl == "convolution" and variant == "3d")
]


@pytest.mark.parametrize(("variant", "b", "channels_last", "impl"), GRADIENT_CASES)
def test_gradients_of_the_whole_layer(layer, variant, b, channels_last, impl, needs_able):
    """PyTorch's BatchNorm on CPU gets gradients wrong at batch 1 for some strides; see ops/contracts.py."""
    needs_able(impl)
    options = VARIANTS[variant]
    axes = options.get("num_axes", 2)
    ours = layer(**options, impl=impl).double()
    with torch.no_grad():
        for norm in (ours.norm_query, ours.norm_value):
            norm.weight.uniform_(0.5, 2)
    plain = copy.deepcopy(ours)
    plain.impl = "reference"
    plain.norm_query, plain.norm_value = PlainNorm(plain.norm_query), PlainNorm(plain.norm_value)
    x = torch.randn(b, 8, *(4, 5, 3)[:axes], dtype=torch.float64)
    got_x = x.to(memory_format=torch.channels_last) if channels_last else x.clone()
    got_x.requires_grad_()
    x.requires_grad_()
    output, wanted = ours(got_x), plain(x)
    torch.testing.assert_close(output, wanted)
    cotangent = torch.randn_like(wanted)
    got = torch.autograd.grad(output, [got_x, *ours.parameters()], cotangent)
    truth = torch.autograd.grad(wanted, [x, *plain.parameters()], cotangent)
    assert all(t.count_nonzero() for t in truth)
    for mine, theirs in zip(got, truth, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("b", [1, 2])
def test_channels_last_is_kept(layer, b, stride):
    x = torch.randn(b, 8, 6, 7)
    one = layer(stride=stride)
    assert one(x).is_contiguous()
    assert one(x.to(memory_format=torch.channels_last)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("training", [True, False])
def test_channels_last_is_kept_under_a_mask(layer, training):
    x = torch.randn(2, 8, 6, 7).to(memory_format=torch.channels_last)
    mask = torch.rand(2, 6, 7) < 0.7
    assert layer().train(training)(x, context_mask=mask).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("own_context", [True, False], ids=["own", "cross"])
def test_padding_changes_nothing(layer, own_context):
    """A padded, masked map gives the crop's output, in train mode too, and leaves the same running statistics."""
    torch.manual_seed(1)
    padded_layer = layer().double()
    crop_layer = copy.deepcopy(padded_layer)
    padded = torch.full((2, 8, 6, 7), torch.nan, dtype=torch.float64)
    crop = torch.randn(2, 8, 4, 5, dtype=torch.float64)
    padded[:, :, :4, :5] = crop
    mask = torch.zeros(2, 6, 7, dtype=torch.bool)
    mask[:, :4, :5] = True
    context = None
    if not own_context:
        context, padded = padded, padded.nan_to_num(0)
        got = padded_layer.eval()(padded, context, context_mask=mask)[:, :, :4, :5]
        torch.testing.assert_close(got, crop_layer.eval()(crop, crop))
        return
    for _ in range(2):
        got = padded_layer(padded, context, context_mask=mask)[:, :, :4, :5]
        torch.testing.assert_close(got, crop_layer(crop))
    for name, buffer in padded_layer.named_buffers():
        torch.testing.assert_close(buffer, crop_layer.get_buffer(name))
    torch.testing.assert_close(padded_layer.eval()(padded, context_mask=mask)[:, :, :4, :5], crop_layer.eval()(crop))


def test_causal_layer_does_not_see_the_future(layer):
    one = layer(num_axes=1, scope=5).eval()
    x = torch.randn(2, 8, 9)
    before = one(x, pair_mask="causal")
    changed = x.clone()
    changed[..., 5:] += 1
    after = one(changed, pair_mask="causal")
    torch.testing.assert_close(after[..., :5], before[..., :5])
    assert not torch.allclose(after[..., 5:], before[..., 5:])


def test_cross_context_of_other_depth_and_size():
    one = LambdaLayer(8, 12, dim_context=5, dim_key=3, scope=None)
    assert one(torch.randn(2, 8, 4, 4), torch.randn(2, 5, 3, 7)).shape == (2, 12, 4, 4)


def test_shared_table_is_counted_and_trained_once(layer):
    table = PositionTable(3, 1, 5)
    pair = nn.Sequential(layer(table=table), layer(table=table))
    apart = nn.Sequential(layer(scope=5), layer(scope=5))
    count = [sum(p.numel() for p in model.parameters()) for model in (pair, apart)]
    assert count[1] - count[0] == table.table.numel()
    pair(torch.randn(2, 8, 4, 4)).square().sum().backward()
    assert pair[0].positions is pair[1].positions
    assert table.table.grad.count_nonzero()
    assert copy.deepcopy(pair)[0].positions is not table


def test_a_shared_table_decides_the_scope(layer):
    assert layer(content=False, scope=None, table=PositionTable(3, 1, 5)).positions.scope == (5, 5)


def test_global_scope_sees_the_whole_map(layer):
    assert global_scope((4, 6)) == (7, 11)
    one = layer(content=False, scope=global_scope((4, 6))).eval()
    x = torch.randn(1, 8, 4, 6)
    far = x.clone()
    far[..., -1, -1] += 1
    assert not torch.allclose(one(far)[..., 0, 0], one(x)[..., 0, 0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_finite_and_close(dtype):
    one = LambdaLayer(64)
    x = torch.randn(1, 64, 24, 24)
    wanted = one(x)
    with torch.autocast("cpu", dtype):
        output = one(x)
        output.float().square().mean().backward()
    assert output.dtype == dtype
    assert wanted.std() > 60  # the paper's initialisation: √(positions in scope · k)
    assert (output - wanted).square().mean().sqrt() < 0.02 * wanted.std()
    assert all(p.grad.isfinite().all() for p in one.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_runs_wholly_in_low_precision(dtype):
    one = LambdaLayer(32).to(dtype)
    output = one(torch.randn(2, 32, 12, 12, dtype=dtype))
    output.float().square().mean().backward()
    assert output.dtype == dtype
    assert all(p.grad.isfinite().all() for p in one.parameters())


@pytest.mark.parametrize("affine", [True, False])
def test_fixed_norms_are_part_of_the_projection(layer, affine):
    """In eval mode the norms are folded into the weights; a hook on a norm brings it back. Nothing else changes."""
    one = layer().double().eval()
    for norm in (one.norm_query, one.norm_value):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        if affine:
            norm.weight.data.uniform_(0.5, 2)
            norm.bias.data.normal_()
        else:
            norm.weight = norm.bias = None
    x = torch.randn(2, 8, 5, 6, dtype=torch.float64, requires_grad=True)
    wanted = [one.to_query.weight, one.to_value.weight, x, *one.norm_query.parameters()]
    folded = one(x)
    folded_grads = torch.autograd.grad(folded.square().sum(), wanted)
    seen = []
    for norm in (one.norm_query, one.norm_value):
        norm.register_forward_hook(lambda *_: seen.append(1))
    plain = one(x)
    assert len(seen) == 2
    torch.testing.assert_close(folded, plain)
    for got, want in zip(folded_grads, torch.autograd.grad(plain.square().sum(), wanted), strict=True):
        torch.testing.assert_close(got, want)
