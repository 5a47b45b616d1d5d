"""The networks through timm, by the calls that timm's own trainers, feature users and fine-tuners make.

Warnings are errors here: importing `lambdanets.timm` would fail if a name replaced one of timm's.
"""

import subprocess
import sys

import pytest
import timm
import torch
from timm.models import is_model_in_modules
from timm.optim import param_groups_layer_decay

import lambdanets.timm
from lambdanets.models import create_model, list_models


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return timm.create_model("lambda_tiny", num_classes=5).eval()


def test_importing_the_package_or_its_models_neither_imports_nor_registers_timm():
    code = "import sys, lambdanets, lambdanets.models; assert not any(m.split('.')[0] == 'timm' for m in sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize("name", list_models())
def test_every_name_is_registered_with_what_timm_should_know(name):
    assert timm.is_model(name)
    assert is_model_in_modules(name, ["timm"])
    assert getattr(lambdanets.timm, name).__name__ == name
    model = timm.create_model(name, device="meta")
    config = model.pretrained_cfg
    assert config["architecture"] == name
    state = model.state_dict()
    assert state[config["first_conv"] + ".weight"].shape[1] == 3
    assert state[config["classifier"] + ".weight"].shape == (1000, model.num_features)


@pytest.mark.parametrize("name", ["lambda_tiny", "resnet50_cccl", "lambda_resnet50"])
def test_the_pool_size_that_timm_is_told_is_the_last_map_s(name):
    model = timm.create_model(name, device="meta").eval()
    map_ = model.forward_features(torch.empty(1, *model.pretrained_cfg["input_size"], device="meta"))
    assert tuple(map_.shape[2:]) == model.pretrained_cfg["pool_size"]


def test_timm_builds_what_create_model_builds(tiny):
    torch.manual_seed(0)
    ours = create_model("lambda_tiny", num_classes=5).eval()
    torch.testing.assert_close(tiny(images(2, 3, 32, 32)), ours(images(2, 3, 32, 32)), rtol=0, atol=0)


def test_options_pass_through_and_wrong_ones_name_the_nearest():
    model = timm.create_model("resnet50_cccl", dim_intra=4, shared_tables=True, in_chans=1, device="meta")
    assert model.c5[1].mixer.positions.scope == (7, 7)
    assert model.c5[1].mixer.positions is model.c5[2].mixer.positions
    assert model.in_chans == 1
    with pytest.raises(ValueError, match="has no option 'drop_rates': did you mean 'drop_rate'"):
        timm.create_model("resnet50_cccl", drop_rates=0.1)


def test_device_and_dtype_reach_the_weights():
    model = timm.create_model("lambda_tiny", device="cpu", dtype=torch.float64)
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert {p.device.type for p in timm.create_model("lambda_tiny", device="meta").parameters()} == {"meta"}


def test_pretrained_weights_that_do_not_exist_are_an_error():
    with pytest.raises(RuntimeError, match="No pretrained weights exist"):
        timm.create_model("lambda_tiny", pretrained=True)


@pytest.mark.parametrize("name", ["lambda_tiny", "resnet50_cccl", "lambda_resnet50"])
def test_features_only_gives_five_maps_of_stride_2_to_32(name):
    model = timm.create_model(name, features_only=True).eval()
    assert model.feature_info.reduction() == [2, 4, 8, 16, 32]
    with torch.no_grad():
        maps = model(images(1, 3, 64, 96))
    assert [tuple(map_.shape) for map_ in maps] == [
        (1, dim, 64 // stride, 96 // stride)
        for dim, stride in zip(model.feature_info.channels(), model.feature_info.reduction(), strict=True)
    ]


@pytest.mark.parametrize("feature_cls", ["getter", "list", "hook", "dict"])
@pytest.mark.parametrize("out_indices", [(1, 2, 3, 4), (0, 2), (0,), (-1,)], ids=str)
def test_features_only_agrees_with_the_network_s_own_maps(feature_cls, out_indices):
    torch.manual_seed(0)
    model = timm.create_model("lambda_tiny", features_only=True, out_indices=out_indices, feature_cls=feature_cls)
    torch.manual_seed(0)
    whole = create_model("lambda_tiny").eval()
    _, expected = whole.forward_intermediates(images(1, 3, 48, 33), indices=out_indices)
    found = model.eval()(images(1, 3, 48, 33))
    found = list(found.values()) if isinstance(found, dict) else found
    assert len(found) == len(expected) == len(out_indices)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_features_only_drops_what_it_does_not_need():
    model = timm.create_model("resnet50_cccl", features_only=True, out_indices=(1, 2), device="meta")
    names = {name.split(".")[1] for name, _ in model.named_parameters()}
    assert names == {"stem", "c2", "c3"}
    assert model.feature_info.channels() == [256, 512]


def test_a_pruned_network_trains_on_images_that_its_missing_stages_could_not():
    model = timm.create_model("lambda_tiny", features_only=True, out_indices=(1, 2)).train()
    assert [tuple(map_.shape[2:]) for map_ in model(images(1, 3, 32, 32))] == [(8, 8), (4, 4)]


def test_forward_is_features_then_head(tiny):
    x = images(2, 3, 40, 32)
    map_ = tiny.forward_features(x)
    assert map_.shape == (2, tiny.num_features, 2, 1)
    torch.testing.assert_close(tiny.forward_head(map_), tiny(x), rtol=0, atol=0)
    assert tiny.forward_head(map_, pre_logits=True).shape == (2, tiny.head_hidden_size)


def test_forward_intermediates(tiny):
    x = images(1, 3, 64, 64)
    last, maps = tiny.forward_intermediates(x)
    assert [map_.shape[-1] for map_ in maps] == [32, 16, 8, 4, 2]
    torch.testing.assert_close(last, tiny.forward_features(x), rtol=0, atol=0)
    last, chosen = tiny.forward_intermediates(x, indices=[0, -3], stop_early=True)
    for found, expected in ((last, maps[2]), (chosen[0], maps[0]), (chosen[1], maps[2])):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert [map_.shape for map_ in tiny.forward_intermediates(x, 2, intermediates_only=True)] == [
        maps[3].shape,
        maps[4].shape,
    ]


@pytest.mark.parametrize("indices", [0, 6, [], [5], [-6]], ids=str)
def test_impossible_indices_are_a_clear_error(tiny, indices):
    with pytest.raises(ValueError, match="wanted some of 0 … 4"):
        tiny.forward_intermediates(images(1, 3, 32, 32), indices=indices)


def test_only_nchw_maps(tiny):
    with pytest.raises(ValueError, match="NCHW"):
        tiny.forward_intermediates(images(1, 3, 32, 32), output_fmt="NLC")


def test_reset_classifier(tiny):
    x = images(2, 3, 32, 32)
    assert tiny.get_classifier() is tiny.classifier
    tiny.reset_classifier(9)
    assert tiny(x).shape == (2, 9)
    assert tiny.num_classes == 9
    tiny.reset_classifier(4, "catavgmax")
    assert tiny(x).shape == (2, 4)
    tiny.reset_classifier(0)
    assert tiny(x).shape == (2, 2 * tiny.num_features)
    tiny.reset_classifier(0, "")
    assert tiny(x).shape == (2, tiny.num_features, 1, 1)


def test_reset_classifier_follows_the_network_s_dtype_and_device():
    model = timm.create_model("lambda_tiny", dtype=torch.float64)
    model.reset_classifier(3)
    assert model.classifier.weight.dtype == torch.float64
    model = timm.create_model("lambda_tiny", device="meta")
    model.reset_classifier(3)
    assert model.classifier.weight.device.type == "meta"


@pytest.mark.parametrize("pool", ["avg", "max", "avgmax", "catavgmax", ""])
def test_without_classes_timm_gets_pooled_features(pool):
    model = timm.create_model("lambda_tiny", num_classes=0, global_pool=pool).eval()
    multiple = 2 if pool == "catavgmax" else 1
    assert model(images(2, 3, 32, 32)).shape[:2] == (2, multiple * model.num_features)


def test_drop_rates_and_gradient_checkpointing():
    model = timm.create_model("lambda_tiny", drop_rate=0.2, drop_path_rate=0.1, num_classes=3)
    assert model.drop_rate == 0.2
    assert model.c5[0].drop_path.rate == pytest.approx(0.1)
    model.set_grad_checkpointing(enable=True)
    model(images(2, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_layer_wise_learning_rates_follow_depth():
    model = timm.create_model("lambda_tiny")
    groups = param_groups_layer_decay(model, layer_decay=0.5)
    scale = {id(parameter): group["lr_scale"] for group in groups for parameter in group["params"]}
    depths = [model.stem[0], model.c2[0].reduce, model.c3[0].reduce, model.c5[0].reduce, model.classifier]
    scales = [scale[id(module.weight)] for module in depths]
    assert scales == sorted(set(scales))
    assert scale[id(model.step[0].weight)] == scales[0]
