"""The parameter counts that the paper and its readers print, reproduced to the printed digit."""

import functools

import pytest

from lambdanets.models import create_model
from lambdanets.models import describe as describe_anew
from lambdanets.models.counting import count_parameters

describe = functools.cache(describe_anew)

TABLE_3_AND_12 = [
    ("resnet50_cccc", {}, 25.6),
    ("resnet50_lccc", {}, 25.5),
    ("resnet50_llcc", {}, 25.0),
    ("resnet50_lllc", {}, 21.7),
    ("resnet50_llll", {}, 15.0),
    ("resnet50_clll", {}, 15.1),
    ("resnet50_cccl", {}, 18.8),
    ("resnet50_llll", {"dim_intra": 4}, 16.0),
    ("resnet50_se", {}, 28.1),
    ("resnet50_augmented", {}, 25.8),
    ("resnet50_local_attention", {}, 18.0),
]
# Trainable parameters and BatchNorm statistics together, as the NFNet paper's Table 3 counts them.
FAMILY = [("lambda_resnet350", 105.8), ("lambda_resnet420", 124.8)]
SUBMISSION = [("lambda_resnet152", 35), ("lambda_resnet200", 42)]


@pytest.mark.parametrize(("name", "options", "millions"), TABLE_3_AND_12)
def test_study_networks_have_the_paper_s_parameters(name, options, millions):
    assert round(describe(name, **options).parameters / 1e6, 1) == millions


def test_ccll_is_counted_faithfully_where_the_paper_prints_15_4():
    # ResNet-50, less six 3 × 3 convolutions of width 256 and three of width 512, plus as many lambda layers.
    assert describe("resnet50_ccll").parameters == 25_557_032 - 6 * (589_824 - 45_584) - 3 * (2_359_296 - 115_344)


@pytest.mark.parametrize(("name", "millions"), FAMILY)
def test_family_has_the_quoted_parameters(name, millions):
    description = describe(name)
    assert round((description.parameters + description.statistics) / 1e6, 1) == millions


def test_152_is_counted_faithfully_where_51_5_is_quoted():
    description = describe("lambda_resnet152")
    assert round((description.parameters + description.statistics) / 1e6, 2) == 51.56
    assert abs((description.parameters + description.statistics) / 1e6 - 51.5) < 0.1


@pytest.mark.parametrize(("name", "millions"), SUBMISSION)
def test_submission_s_variant_has_the_quoted_parameters(name, millions):
    assert round(describe(name, c4="all").parameters / 1e6) == millions


@pytest.mark.parametrize(("width", "k", "h", "u", "r"), [(64, 16, 4, 1, 23), (512, 16, 4, 1, 23), (128, 8, 2, 4, 7)])
def test_replacing_a_convolution_changes_the_count_by_the_paper_s_formula(width, k, h, u, r):
    layer = width * k * h + width * k * u + width * (width // h) * u + 2 * k * h + 2 * u * width // h + r * r * k * u
    stage, blocks = {64: ("lccc", 3), 128: ("llcc", 4), 512: ("cccl", 3)}[width]
    without = {"lccc": "cccc", "llcc": "lccc", "cccl": "cccc"}[stage]
    options = {"dim_key": k, "num_heads": h, "dim_intra": u, "scope": r}
    difference = (
        describe(f"resnet50_{stage}", **options).parameters - describe(f"resnet50_{without}", **options).parameters
    )
    assert difference == blocks * (layer - 9 * width * width)


def test_shared_tables_count_once_a_width_and_resolution():
    own, shared = describe("resnet50_llll"), describe("resnet50_llll", shared_tables=True)
    # 16 layers; c2 shares one table, c3 … c5 one for the strided block and one for the rest.
    assert own.parameters - shared.parameters == (16 - 7) * 23 * 23 * 16
    assert own.multiply_adds == shared.multiply_adds


def test_multiply_adds_of_resnet50_are_the_known_4_09_billion():
    assert round(describe("resnet50_cccc").multiply_adds / 1e9, 2) == 4.09


def test_multiply_adds_of_a_lambda_network_follow_the_closed_form():
    with_content = describe("resnet50_cccl", image_size=64)
    position_only = describe("resnet50_cccl", image_size=64, content=False)
    k, h, d = 16, 4, 512
    v = d // h
    maps = [4 * 4, 2 * 2, 2 * 2]  # the strided block's lambda layer sees the map before its pool
    key_projection = [n * d * k for n in maps]
    content = [n * k * v + n * h * k * v for n in maps]
    assert with_content.multiply_adds - position_only.multiply_adds == sum(key_projection) + sum(content)
    smaller = describe("resnet50_cccl", image_size=64, content=False, scope=3)
    window = 7 * 7 - 3 * 3, 3 * 3 - 3 * 3  # no window is wider than 2·size − 1
    assert position_only.multiply_adds - smaller.multiply_adds == 16 * k * v * window[0] + 8 * k * v * window[1]


@pytest.mark.parametrize(("name", "blocks"), [("lambda_tiny", 6), ("resnet50_ccll", 9), ("lambda_resnet50", 4)])
def test_describe_counts_lambda_blocks(name, blocks):
    assert describe(name).lambda_blocks == blocks


def test_describe_takes_the_images_and_classes_that_the_network_is_meant_for():
    tiny, wider = describe("lambda_tiny"), describe("lambda_tiny", in_chans=3, num_classes=1000)
    assert (tiny.image_size, tiny.in_chans, tiny.num_classes) == (32, 1, 10)
    assert tiny.parameters == count_parameters(create_model("lambda_tiny", num_classes=10, in_chans=1))
    assert wider.parameters - tiny.parameters == 2 * 32 * 3 * 3 + 990 * (64 + 1)  # the stem's first, the classifier
    assert describe("resnet50_cccl").image_size == 224
    assert describe("lambda_tiny", image_size=64).multiply_adds > 3 * describe("lambda_tiny").multiply_adds


@pytest.mark.parametrize("size", [31, 0, -1])
def test_describe_refuses_images_that_are_too_small(size):
    with pytest.raises(ValueError, match=f"image_size is {size}; the networks take images of 32 pixels"):
        describe("lambda_tiny", image_size=size)


def test_the_demo_network_is_tiny():
    assert 40_000 <= count_parameters(create_model("lambda_tiny", num_classes=10, in_chans=1)) <= 80_000
