"""The parts as the paper has them: stems, shortcuts, where the pool stands, initial values, stochastic depth."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lambdanets.layers import LambdaLayer, SqueezeExcite
from lambdanets.models import create_model
from lambdanets.models.blocks import Bottleneck, DropPath, build_shortcut, convolution


def convolutions(module):
    return [
        (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0])
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d)
    ]


def test_vanilla_stem_is_7x7_and_max_pool():
    model = create_model("resnet50_cccc", in_chans=1)
    assert convolutions(model.stem) == [(1, 64, 7, 2)]
    assert isinstance(model.step, nn.MaxPool2d)


def test_family_stem_is_four_3x3_without_max_pool():
    model = create_model("lambda_resnet50")
    assert convolutions(model.stem) == [(3, 32, 3, 2), (32, 32, 3, 1), (32, 64, 3, 1)]
    assert convolutions(model.step) == [(64, 64, 3, 2)]
    assert not any(isinstance(module, nn.MaxPool2d) for module in model.modules())


def test_squeeze_excite_stands_in_c2_and_c3_alone_on_the_block_s_output():
    model = create_model("lambda_resnet50")
    for stage, dim in (("c2", 256), ("c3", 512)):
        for block in getattr(model, stage):
            assert isinstance(block.squeeze_excite, SqueezeExcite)
            assert [tuple(p.shape) for p in block.squeeze_excite.parameters() if p.ndim > 1] == [
                (dim // 4, dim),
                (dim, dim // 4),
            ]
    assert not any(isinstance(m, SqueezeExcite) for stage in (model.c4, model.c5) for m in stage.modules())


@pytest.mark.parametrize("size", [(6, 8), (7, 5), (1, 3)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_both_branches_agree_on_odd_sizes_and_the_pool_ignores_padding(size):
    shortcut = build_shortcut("resnet-rs", 4, 8, 2)
    ones = torch.ones(1, 4, *size)
    pooled = shortcut[0](ones)
    torch.testing.assert_close(pooled, torch.ones_like(pooled))
    assert pooled.shape == convolution(4, 4, 3, 2)(ones).shape
    assert pooled.shape == LambdaLayer(4, num_heads=2, scope=3, stride=2).eval()(ones).shape


@pytest.mark.parametrize(
    ("design", "stride", "kinds"),
    [
        ("vanilla", 1, [nn.Conv2d, nn.BatchNorm2d]),
        ("vanilla", 2, [nn.Conv2d, nn.BatchNorm2d]),
        ("resnet-rs", 1, [nn.Conv2d, nn.BatchNorm2d]),
        ("resnet-rs", 2, [nn.AvgPool2d, nn.Conv2d, nn.BatchNorm2d]),
    ],
)
def test_shortcuts_of_each_design(design, stride, kinds):
    shortcut = build_shortcut(design, 4, 8, stride)
    assert [type(part) for part in shortcut] == kinds
    assert build_shortcut(design, 8, 8, 1).__class__ is nn.Identity


def test_a_strided_lambda_block_pools_after_the_layer_and_before_the_norm():
    block = create_model("resnet50_cccl").c5[0].eval()
    nn.init.normal_(block.norm_mixer.running_mean)
    nn.init.uniform_(block.norm_expand.weight)
    x = torch.randn(2, 1024, 5, 6)
    reduced = F.relu(block.norm_reduce(block.reduce(x)))
    pool, block.mixer.pool = block.mixer.pool, nn.Identity()
    mixed = F.avg_pool2d(block.mixer(reduced), 3, stride=2, padding=1)
    block.mixer.pool = pool
    expected = F.relu(block.norm_expand(block.expand(F.relu(block.norm_mixer(mixed)))) + block.shortcut(x))
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("name", ["lambda_tiny", "resnet50_ccll", "lambda_resnet50"])
def test_a_fresh_bottleneck_is_its_shortcut(name):
    model = create_model(name)
    blocks = [block for block in model.modules() if isinstance(block, Bottleneck)]
    for block in blocks[:: max(1, len(blocks) // 4)]:
        x = torch.randn(2, block.reduce.in_channels, 4, 4)
        torch.testing.assert_close(block(x), F.relu(block.shortcut(x)))


def test_convolutions_and_classifier_are_drawn_as_the_paper_says():
    torch.manual_seed(0)
    model = create_model("resnet50_cccc")
    assert model.classifier.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert model.classifier.bias.abs().max() == 0
    assert model.c4[1].mixer.weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.02)
    assert model.c5[1].expand.weight.std().item() == pytest.approx((2 / 2048) ** 0.5, rel=0.02)


def test_building_a_network_leaves_the_lambda_layer_s_own_draw_alone():
    torch.manual_seed(0)
    layer = create_model("resnet50_cccl").c5[1].mixer
    assert layer.to_key.weight.std().item() == pytest.approx(512**-0.5, rel=0.05)
    assert layer.to_query.weight.std().item() == pytest.approx((16 * 512) ** -0.5, rel=0.05)
    assert layer.positions.table.std().item() == pytest.approx(1, rel=0.05)


def test_stochastic_depth_grows_by_stage():
    model = create_model("lambda_resnet50", drop_path_rate=0.1)
    for stage, share in (("c2", 2), ("c3", 3), ("c4", 4), ("c5", 5)):
        rates = [block.drop_path.rate for block in getattr(model, stage)]
        assert rates == pytest.approx([0.1 * share / 5] * len(rates))


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    drop = DropPath(0.25)
    x = torch.ones(4000, 2, 3)
    y = drop(x)
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 4 / 3]))
    torch.testing.assert_close(y.flatten(1).amin(1), y.flatten(1).amax(1))
    assert y.mean().item() == pytest.approx(1, abs=0.04)
    assert drop.eval()(x) is x


def test_the_demo_network_mixes_positions_by_lambda_layers_alone():
    model = create_model("lambda_tiny")
    for stage in (model.c2, model.c3, model.c4, model.c5):
        assert {side for _, _, side, _ in convolutions(stage)} == {1}
        for block in stage:
            assert isinstance(block.mixer, LambdaLayer)
            assert block.mixer.to_key is not None
            assert block.mixer.positions is not None
