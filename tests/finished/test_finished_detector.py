"""A finished detector brought back to life: it finds in the numbers that it was trained in, on data of its classes."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from lambdanets.data.digit_scenes import SceneConfig
from lambdanets.data.scene_folder import write_scenes
from lambdanets.detection.task import DetectionConfig, build_detector
from lambdanets.finished import FinishedDetector, StoredRun, as_detector
from lambdanets.models import save_weights
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.folder import RunFolder
from lambdanets.training.override import with_assignments
from lambdanets.training.precision import prepared

SMALL = (
    *("model=lambda_scenes", "device=cpu", "loader.workers=0", "data.image_size=64", "task.detector.pyramid_dim=16"),
    *("task.detector.box_dims=16", "task.detector.box_hidden=16", "task.detector.mask_dims=16"),
    *("task.detector.min_size=64", "task.detector.max_size=64"),
)
CLASSES = tuple("0123456789")


def finished(path: Path, dtype: str) -> FinishedDetector:
    """As drawn, without any training."""
    config = with_assignments(find_recipe("coco_mask_rcnn"), [*SMALL, f"precision.dtype={dtype}"])
    assert isinstance(config.task, DetectionConfig)
    path.mkdir()
    folder = RunFolder(path)
    model = build_detector(config, config.task.detector, len(CLASSES))
    save_weights(prepared(model, config.precision), folder.weights)
    stored = StoredRun(folder=folder, config=config, class_names=CLASSES, category_ids=tuple(range(1, 11)), result={})
    return as_detector(stored)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_it_finds_in_the_numbers_that_it_was_trained_in(dtype: str, tmp_path: Path) -> None:
    run = finished(tmp_path / "run", dtype)
    seen: list[tuple[torch.dtype, bool]] = []
    run.model.register_forward_pre_hook(
        lambda _, given: seen.append((given[0][0].dtype, torch.is_autocast_enabled("cpu")))
    )
    (found,) = run.find([Image.new("RGB", (70, 50), "red")])
    wide = torch.float64 if dtype == "float64" else torch.float32
    assert seen == [(wide, dtype == "bfloat16")]
    assert {weight.dtype for weight in run.model.parameters()} == {wide}
    assert found["masks"].shape[1:] == (1, 50, 70)


def test_data_with_other_classes_is_refused(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", "float32")
    write_scenes(SceneConfig(num_train=1, num_test=1), tmp_path / "scenes")
    assert run.task_on(tmp_path / "scenes").class_names == CLASSES
    for file in (tmp_path / "scenes" / "annotations").iterdir():
        file.write_text(file.read_text().replace('"name": "7"', '"name": "seven"'))
    with pytest.raises(ValueError, match=r"has other classes than .* learned to find: name data with the same"):
        run.task_on(tmp_path / "scenes")
