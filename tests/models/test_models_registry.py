"""Names and options of `create_model`, and what it says to wrong ones."""

import pytest
import torch
from torch import nn

import lambdanets
from lambdanets.layers import LambdaLayer
from lambdanets.models import create_model, list_models

FAMILY = [f"lambda_resnet{depth}" for depth in (50, 101, 152, 200, 270, 350, 420)]
STUDY = [f"resnet50_{placement}" for placement in ("cccc", "lccc", "llcc", "lllc", "llll", "clll", "ccll", "cccl")]

BASELINES = [
    "resnet50_se",
    "resnet50_linear_attention",
    "resnet50_attention",
    "resnet50_augmented",
    "resnet50_axial_attention",
    "resnet50_local_attention",
]

PROBES = [
    "probe_patches",
    "probe_convolution",
    "probe_dilated",
    "probe_se",
    "probe_linear_attention",
    "probe_attention",
    "probe_axial_attention",
    "probe_local_attention",
    "probe_lambda",
]


def lambda_layers(model):
    return [module for module in model.modules() if isinstance(module, LambdaLayer)]


def test_every_promised_name_is_listed_once():
    assert sorted(list_models()) == sorted(["lambda_tiny", *STUDY, *BASELINES, *PROBES, *FAMILY])


def test_the_package_re_exports_both_functions():
    assert lambdanets.create_model is create_model
    assert lambdanets.list_models is list_models


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("lambda_resnet51", "lambda_resnet50"), ("resnet50_lcll", "resnet50_"), ("lamda_tiny", "lambda_tiny")],
)
def test_unknown_model_names_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=f"unknown model '{name}': did you mean '{nearest}"):
        create_model(name)


def test_a_name_like_no_other_lists_the_models_without_a_guess():
    with pytest.raises(ValueError, match=r"unknown model 'xyz': list_models.*lists the models"):
        create_model("xyz")


def test_unknown_option_names_the_nearest():
    with pytest.raises(ValueError, match="lambda_tiny has no option 'drop_rat': did you mean 'drop_rate'"):
        create_model("lambda_tiny", drop_rat=0.1)


def test_the_submission_s_option_belongs_to_the_family_alone():
    with pytest.raises(ValueError, match="resnet50_llll has no option 'c4'"):
        create_model("resnet50_llll", c4="all")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop_rate": 1.0}, "drop_rate is 1.0; it must be a number in"),
        ({"drop_path_rate": -0.1}, "drop_path_rate is -0.1"),
        ({"global_pool": "mean"}, "unknown global_pool 'mean'; take one of 'avg'"),
        ({"global_pool": ""}, "pool the map, or take num_classes=0"),
        ({"num_classes": -1}, "num_classes is -1"),
        ({"in_chans": 0}, "in_chans is 0"),
        ({"c4": "some"}, "c4 is 'some'; take 'hybrid'"),
        ({"num_heads": 7}, "num_heads=7"),
        ({"num_classes": "10"}, "num_classes is '10'; it must be a whole number, 0 or more"),
        ({"num_classes": None}, "num_classes is None"),
        ({"in_chans": "3"}, "in_chans is '3'; it must be a whole number, 1 or more"),
        ({"dim_key": 0}, "dim_key is 0; it must be a whole number, 1 to 4096"),
        ({"dim_key": "x"}, "dim_key is 'x'"),
        ({"dim_key": 4097}, "dim_key is 4097"),
        ({"dim_intra": -1}, "dim_intra is -1"),
        ({"num_heads": True}, "num_heads is True"),
        ({"drop_rate": "abc"}, "drop_rate is 'abc'"),
        ({"drop_path_rate": float("nan")}, "drop_path_rate is nan"),
        ({"content": "yes"}, "content is 'yes'; it must be true or false"),
        ({"scope": "global"}, "scope is 'global'.*take global_scope"),
        ({"scope": 999999}, "scope is 999999; its sides must not exceed 4095"),
        ({"scope": (5, 7, 9)}, "3 sides"),
        ({"scope": 22}, "22"),
        ({"scope": None, "content": False}, "content"),
        ({"normalize_keys": "l1"}, "l1"),
        ({"impl": "fast"}, "fast"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_bad_values_are_one_clear_error(options, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        create_model("lambda_resnet50", **options)(torch.empty(2, 3, 32, 32))


@pytest.mark.parametrize(
    "options",
    [{"dim_key": -1}, {"scope": 4}, {"num_heads": 0}, {"impl": "fast"}, {"num_heads": 7, "dim_key": -1, "scope": 4}],
    ids=str,
)
def test_bad_options_are_refused_even_where_no_lambda_layer_would_take_them(options):
    with pytest.raises(ValueError, match=r"-1|4|0|fast"):
        create_model("resnet50_cccc", **options)


def test_options_reach_the_lambda_layers():
    options = {"dim_key": 8, "num_heads": 2, "dim_intra": 3, "scope": (5, 9), "content": False, "normalize_keys": "l2"}
    with torch.device("meta"):
        layers = lambda_layers(create_model("resnet50_ccll", impl="dense", **options))
    assert len(layers) == 9
    for layer in layers:
        assert (layer.dim_key, layer.num_heads, layer.dim_intra, layer.impl) == (8, 2, 3, "dense")
        assert layer.positions.scope == (5, 9)
        assert layer.to_key is None
        assert layer.normalize_keys == "l2"


@pytest.mark.parametrize(("dim_intra", "scope"), [(1, 23), (4, 7)])
def test_default_scope_is_the_paper_s(dim_intra, scope):
    with torch.device("meta"):
        layers = lambda_layers(create_model("resnet50_cccl", dim_intra=dim_intra))
    assert {layer.positions.scope for layer in layers} == {(scope, scope)}


def test_scope_none_is_content_only():
    with torch.device("meta"):
        layers = lambda_layers(create_model("resnet50_cccl", scope=None, shared_tables=True))
    assert all(layer.positions is None for layer in layers)


@pytest.mark.parametrize(
    ("name", "positions"),
    [("lambda_resnet50", [3]), ("lambda_resnet101", [6, 12, 18]), ("lambda_resnet420", list(range(10, 81, 10)))],
)
def test_hybrids_hold_lambda_layers_at_the_listed_blocks_of_c4_and_in_all_of_c5(name, positions):
    with torch.device("meta"):
        model = create_model(name)
    placed = {
        stage: [index for index, block in enumerate(getattr(model, stage), start=1) if lambda_layers(block)]
        for stage in ("c2", "c3", "c4", "c5")
    }
    assert placed == {"c2": [], "c3": [], "c4": positions, "c5": list(range(1, len(model.c5) + 1))}


def test_shared_tables_are_one_module_a_width_and_resolution():
    with torch.device("meta"):
        model = create_model("resnet50_clll", shared_tables=True)
    tables = [[layer.positions for layer in lambda_layers(stage)] for stage in (model.c3, model.c4, model.c5)]
    for strided, *others in tables:
        assert all(table is others[0] for table in others)
        assert strided is not others[0]


def test_without_classes_forward_gives_pooled_features():
    model = create_model("lambda_tiny", num_classes=0).eval()
    assert isinstance(model.classifier, nn.Identity)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, model.num_features)
