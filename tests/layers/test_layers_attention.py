"""The paper's baselines against their equations, written out position by position in float64, and against timm."""

import math

import pytest
import torch
from timm.layers.bottleneck_attn import BottleneckAttn
from torch import nn

from lambdanets.layers.attention import (
    AugmentedConvolution,
    AxialAttention,
    LinearAttention,
    LocalAttention,
    RelativeAttention,
)
from lambdanets.layers.attention.relative_embeddings import RelativeEmbeddings

DIM, HEADS, SIZE = 8, 2, (4, 3)
LAYERS = {
    "linear": lambda **more: LinearAttention(DIM, num_heads=HEADS, dim_key=3, **more),
    "relative": lambda **more: RelativeAttention(DIM, size=SIZE, num_heads=HEADS, dim_key=3, **more),
    "augmented": lambda **more: AugmentedConvolution(DIM, size=SIZE, dim_key=3, dim_value=2, num_heads=HEADS, **more),
    "axial": lambda **more: AxialAttention(DIM, size=SIZE, num_heads=HEADS, **more),
    "local": lambda **more: LocalAttention(DIM, scope=3, num_heads=HEADS, **more),
}
MAPS = [(4, 3), (2, 3), (5, 2), (1, 4)]
"""As large as the embeddings reach, smaller, larger on one axis, and one row."""


def random_map(batch, size, dim=DIM, dtype=torch.float64):
    return torch.randn(batch, dim, *size, generator=torch.Generator().manual_seed(1), dtype=dtype)


def built(kind, **more):
    torch.manual_seed(0)
    return LAYERS[kind](**more).double()


def places(size):
    return [(row, column) for row in range(size[0]) for column in range(size[1])]


def heads_at(weight, vector, num_heads=HEADS):
    """The heads of W x."""
    return (weight @ vector).chunk(num_heads)


def entry(embeddings, offset):
    """The embedding of an offset; beyond the last, the last."""
    reach = (len(embeddings.table) - 1) // 2
    return embeddings.table[max(-reach, min(reach, offset)) + reach]


def on_map(vectors, size):
    """Vectors by place as a map (d, y, x)."""
    return torch.stack(
        [torch.stack([vectors[row, column] for column in range(size[1])], -1) for row in range(size[0])], 1
    )


def linear(layer, image):
    size = image.shape[1:]
    keys = {place: heads_at(layer.to_key.weight, image[:, *place]) for place in places(size)}
    total = [sum(key[head].exp() for key in keys.values()) for head in range(HEADS)]
    summary = [
        sum(
            torch.outer(keys[m][head].exp() / total[head], heads_at(layer.to_value.weight, image[:, *m])[head])
            for m in places(size)
        )
        for head in range(HEADS)
    ]
    out = {}
    for n in places(size):
        query = heads_at(layer.to_query.weight, image[:, *n])
        read = [(query[head].exp() / query[head].exp().sum()) @ summary[head] for head in range(HEADS)]
        out[n] = layer.to_output.weight @ torch.cat(read)
    return on_map(out, size)


def relative(layer, image):
    size = image.shape[1:]
    keys = {m: heads_at(layer.to_key.weight, image[:, *m]) for m in places(size)}
    values = {m: heads_at(layer.to_value.weight, image[:, *m]) for m in places(size)}
    out = {}
    for n in places(size):
        read = []
        for head, query in enumerate(heads_at(layer.to_query.weight, image[:, *n])):
            of = {
                m: keys[m][head] + entry(layer.rows, m[0] - n[0]) + entry(layer.columns, m[1] - n[1])
                for m in places(size)
            }
            weights = {m: (query @ vector / math.sqrt(len(query))).exp() for m, vector in of.items()}
            read.append(sum(weights[m] * values[m][head] for m in weights) / sum(weights.values()))
        out[n] = layer.to_output.weight @ torch.cat(read)
    return on_map(out, size)


def augmented(layer, image):
    size, weight = image.shape[1:], layer.convolution.weight
    out = {}
    for n in places(size):
        window = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (n[0] + dy, n[1] + dx) in places(size)]
        out[n] = sum(weight[:, :, dy + 1, dx + 1] @ image[:, n[0] + dy, n[1] + dx] for dy, dx in window)
    return torch.cat((on_map(out, size), relative(layer.attention, image)))


def local(layer, image):
    size, reach = image.shape[1:], layer.scope // 2
    out = {}
    for n in places(size):
        window = [m for m in places(size) if abs(m[0] - n[0]) <= reach and abs(m[1] - n[1]) <= reach]
        read = []
        for head, query in enumerate(heads_at(layer.to_query.weight, image[:, *n])):
            weights = {}
            for m in window:
                where = torch.cat((layer.rows.table[m[0] - n[0] + reach], layer.columns.table[m[1] - n[1] + reach]))
                weights[m] = (query @ (heads_at(layer.to_key.weight, image[:, *m])[head] + where)).exp()
            value = {m: heads_at(layer.to_value.weight, image[:, *m])[head] for m in window}
            read.append(sum(weights[m] * value[m] for m in window) / sum(weights.values()))
        out[n] = torch.cat(read)
    return on_map(out, size)


def along(layer, images, axis):
    """One pass of axial attention; of all images, for its norm looks at the batch."""
    mixed = torch.einsum("cd,bdyx->bcyx", layer.to_all.weight, images)
    mean = mixed.mean((0, 2, 3), keepdim=True)
    scale = (mixed.var((0, 2, 3), keepdim=True, unbiased=False) + layer.norm.eps).sqrt()
    mixed = (mixed - mean) / scale * layer.norm.weight[:, None, None] + layer.norm.bias[:, None, None]
    size, k = images.shape[2:], layer.dim_key
    maps = []
    for image in mixed:
        heads = {n: [h.split((k, k, layer.dim_value)) for h in image[:, *n].chunk(HEADS)] for n in places(size)}
        out = {}
        for n in places(size):
            line = [m for m in places(size) if m[1 - axis] == n[1 - axis]]
            read = []
            for head in range(HEADS):
                query, weights, values = heads[n][head][0], {}, {}
                for m in line:
                    offset = m[axis] - n[axis]
                    _, key, value = heads[m][head]
                    logit = query @ key + query @ entry(layer.of_query, offset) + key @ entry(layer.of_key, offset)
                    weights[m], values[m] = (logit / math.sqrt(k)).exp(), value + entry(layer.of_value, offset)
                read.append(sum(weights[m] * values[m] for m in line) / sum(weights.values()))
            out[n] = torch.cat(read)
        maps.append(on_map(out, size))
    return torch.stack(maps)


def by_equation(kind, layer, x):
    """The layer's output before its pool."""
    if kind == "axial":
        return along(layer.along_rows, along(layer.along_columns, x, 0), 1)
    formula = {"linear": linear, "relative": relative, "augmented": augmented, "local": local}[kind]
    return torch.stack([formula(layer, image) for image in x])


@pytest.mark.parametrize("size", MAPS, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("kind", LAYERS)
def test_forward_and_gradients_are_the_equation_s(kind, batch, size):
    layer, x = built(kind), random_map(batch, size).requires_grad_()
    weight = random_map(batch, size).sin()
    names, parameters = zip(*layer.named_parameters(), strict=True)
    found = layer(x)
    expected = by_equation(kind, layer, x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    ours = torch.autograd.grad((found * weight).sum(), (x, *parameters))
    theirs = torch.autograd.grad((expected * weight).sum(), (x, *parameters))
    for name, one, other in zip(("x", *names), ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("kind", LAYERS)
def test_channels_last_is_kept_and_changes_nothing(kind):
    layer, x = built(kind), random_map(2, SIZE)
    plain, last = layer(x), layer(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(plain, last, rtol=0, atol=1e-12)
    assert plain.is_contiguous()
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_relative_attention_is_timm_s():
    """BottleneckAttn has no projection behind it; with the identity for ours they are the same layer."""
    ours = built("relative", dim_out=DIM)
    theirs = BottleneckAttn(DIM, feat_size=SIZE, num_heads=HEADS, dim_head=3, scale_pos_embed=True).double()
    with torch.no_grad():
        ours.to_output.weight.copy_(torch.eye(DIM))
        parts = (ours.to_query.weight, ours.to_key.weight, ours.to_value.weight)
        theirs.qkv.weight.copy_(torch.cat(parts)[..., None, None])
        theirs.pos_embed.height_rel.copy_(ours.rows.table)
        theirs.pos_embed.width_rel.copy_(ours.columns.table)
    x = random_map(2, SIZE)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("linear", 4 * DIM * DIM - 2 * DIM * (DIM - 3 * HEADS)),
        ("relative", 4 * DIM * DIM - 2 * DIM * (DIM - 3 * HEADS) + (7 + 5) * 3),
        ("augmented", 9 * DIM * (DIM - 4) + DIM * HEADS * (2 * 3 + 2) + 4 * 4 + (7 + 5) * 3),
        ("axial", 2 * (2 * DIM * DIM + 2 * 2 * DIM) + (7 + 5) * 2 * DIM // HEADS),
        ("local", 3 * DIM * DIM + 3 * DIM // HEADS),
    ],
)
def test_parameters_are_as_many_as_the_page_says(kind, count):
    assert sum(parameter.numel() for parameter in built(kind).parameters()) == count


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_stride_2_is_a_pool_after_the_layer(kind, size):
    whole, strided = built(kind), built(kind, stride=2)
    strided.load_state_dict(whole.state_dict())
    x = random_map(2, size)
    found = strided(x)
    assert found.shape[2:] == (-(-size[0] // 2), -(-size[1] // 2))
    if kind == "augmented":  # a strided convolution; attention on the pooled map
        expected = torch.cat(
            (nn.functional.conv2d(x, whole.convolution.weight, stride=2, padding=1),
             whole.attention(nn.functional.avg_pool2d(x, 3, 2, 1))), 1
        )  # fmt: skip
    elif kind in ("axial", "local"):
        expected = nn.functional.avg_pool2d(whole(x), 2, ceil_mode=True, count_include_pad=False)
    else:
        expected = nn.functional.avg_pool2d(whole(x), 3, 2, 1)
    torch.testing.assert_close(found, expected)


def test_a_coarse_augmented_convolution_attends_on_half_the_sides():
    layer, x = built("augmented", coarse=True), random_map(2, (5, 6))
    attended = nn.functional.interpolate(
        layer.attention(nn.functional.avg_pool2d(x, 3, 2, 1)), (5, 6), mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(layer(x)[:, -4:], attended)


def test_linear_attention_knows_nothing_of_places():
    layer, x = built("linear"), random_map(1, SIZE)
    turned = layer(x.flip(2, 3)).flip(2, 3)
    torch.testing.assert_close(turned, layer(x))


@pytest.mark.parametrize("kind", ["relative", "axial", "local"])
def test_attention_with_positions_tells_a_turned_map_apart(kind):
    layer, x = built(kind), random_map(1, SIZE)
    assert (layer(x.flip(2, 3)).flip(2, 3) - layer(x)).abs().max() > 0.01


def test_offsets_beyond_the_embeddings_read_the_outermost():
    embeddings = RelativeEmbeddings(2, 1)
    with torch.no_grad():
        embeddings.table.copy_(torch.tensor([[-1.0], [0.0], [1.0]]))
    assert embeddings(4)[..., 0].tolist() == [[0, 1, 1, 1], [-1, 0, 1, 1], [-1, -1, 0, 1], [-1, -1, -1, 0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", LAYERS)
def test_logits_that_half_precision_cannot_exponentiate_are_safe(kind, dtype):
    """Logits of some hundreds, whose exponentials no dtype holds, in a model of half precision and under autocast."""
    layer = built(kind).float()
    x = 30 * random_map(2, SIZE, dtype=torch.float32)
    with torch.autocast("cpu", dtype):
        mixed = layer(x)
    mixed.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())
    assert mixed.isfinite().all()
    assert layer.to(dtype)(x.to(dtype)).isfinite().all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LinearAttention(8, num_heads=3), "dim_out=8 and num_heads=3.*num_heads=2 does"),
        (lambda: LinearAttention(8, dim_key=0), "dim_key=0; want a whole number"),
        (lambda: RelativeAttention(8, size=(4, 0)), "side=0; want a whole number"),
        (lambda: RelativeAttention(8, size=(4, 4), stride=0), "stride=0"),
        (lambda: AxialAttention(8, size=(4, 4), num_heads=5), "num_heads=4 does"),
        (lambda: LocalAttention(8, scope=6, num_heads=2), "scope=6; the window's side must be odd: 7 is"),
        (lambda: LocalAttention(8, num_heads=8), "a head needs a channel for rows.*num_heads=4 or fewer"),
        (
            lambda: AugmentedConvolution(8, size=(4, 4), dim_key=4, dim_value=1, num_heads=8),
            "leaves the convolution no channel",
        ),
    ],
    ids=range(8),
)
def test_options_out_of_range_are_one_clear_error(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("shape", [(2, 7, 4, 4), (2, 8, 4, 0), (0, 8, 4, 4)], ids=str)
def test_a_map_of_other_channels_or_of_nothing_is_one_clear_error(kind, shape):
    with pytest.raises(ValueError, match=r"want \(batch, 8, rows, columns\)"):
        built(kind)(torch.zeros(shape, dtype=torch.float64))
