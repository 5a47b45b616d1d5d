"""The pyramid's levels, and where the network under it takes its weights from."""

import pytest
import torch
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from lambdanets.detection import create_detector
from lambdanets.detection.backbone import PyramidBackbone, begin_from
from lambdanets.models import create_model, save_weights


def backbone(**options):
    torch.manual_seed(0)
    return PyramidBackbone(create_model("lambda_tiny", num_classes=0), (2, 3, 4, 5, 6), dim=16, **options)


@pytest.mark.parametrize("norms", [True, False], ids=["norms", "no-norms"])
def test_without_padding_the_levels_are_torchvision_s(norms):
    ours = backbone(norms=norms).eval()
    dims = [info["num_chs"] for info in ours.body.feature_info[1:]]
    norm = torch.nn.BatchNorm2d if norms else None
    theirs = FeaturePyramidNetwork(dims, 16, extra_blocks=LastLevelMaxPool(), norm_layer=norm).eval()
    theirs.load_state_dict(ours.pyramid.state_dict())
    images = torch.randn(2, 3, 64, 96)
    levels, visible = ours(images)
    assert list(levels) == ["p2", "p3", "p4", "p5", "p6"]
    assert set(visible.values()) == {None}
    for level, want in zip(levels.values(), theirs(ours.body.features(images)).values(), strict=True):
        torch.testing.assert_close(level, want)


def test_it_begins_from_a_classifier_of_other_classes(tmp_path):
    torch.manual_seed(1)
    trained = create_model("lambda_tiny", num_classes=7)
    save_weights(trained, tmp_path / "weights.safetensors")
    detector = create_detector("lambda_tiny", num_classes=4)
    begin_from(detector.backbone, str(tmp_path / "weights.safetensors"))
    wanted = {name: value for name, value in trained.state_dict().items() if not name.startswith("classifier")}
    got = detector.backbone.body.state_dict()
    assert got.keys() == wanted.keys()
    assert all(torch.equal(got[name], value) for name, value in wanted.items())


@pytest.mark.parametrize(
    ("name", "words"), [("resnet50_cccc", "does not fit"), (None, "there are no weights")], ids=["another", "none"]
)
def test_weights_that_are_another_network_s_or_nobody_s_are_refused(tmp_path, name, words):
    if name is not None:
        save_weights(create_model(name, num_classes=2), tmp_path / "weights.safetensors")
    detector = create_detector("lambda_tiny", num_classes=4)
    with pytest.raises(ValueError, match=words):
        begin_from(detector.backbone, str(tmp_path / "weights.safetensors"))
