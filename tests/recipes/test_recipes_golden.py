"""The first losses of every recipe are those stored in tests/golden/: a change of the numbers is never an accident.

After a change that is meant, run this file as a program: it writes the files anew.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from torch import nn

from lambdanets.data.counter import Purpose, random_uniforms
from lambdanets.data.digit_scenes import SceneConfig
from lambdanets.data.pseudo import write_labels
from lambdanets.data.scene_folder import write_scenes
from lambdanets.data.stored import StoredConfig
from lambdanets.data.written_digits import write_digits
from lambdanets.models import create_model, save_weights
from lambdanets.recipes.registry import RECIPES, find_recipe
from lambdanets.training.host import Watcher
from lambdanets.training.run import begin_run, prepare_run, train_run

GOLDEN = Path(__file__).parents[1] / "golden"
LONG_GOLDEN = GOLDEN / "losses_digits_float64.json"
NUM_STEPS = 10
SMALL = (
    "model=lambda_tiny", "data.image_size=32", "batch_size=32", f"epochs={NUM_STEPS * 32 / 1287}",
    "precision.dtype=float32", "loader.workers=0", "device=cpu",
)  # fmt: skip
"""What makes a recipe for ImageNet one for a laptop: the schedule passes whole in ten steps."""
SCENES = ("batch_size=2", f"epochs={NUM_STEPS * 2 / 40}", "precision.dtype=float64")
"""Ten steps. In float64: a detector chooses boxes, and another CPU's last digit of a float32 is another box."""
SMALL_DETECTOR = (
    *SCENES, "model=lambda_scenes", "data.image_size=96", "loader.workers=0", "device=cpu",
    *(f"task.detector.{name}" for name in ("pyramid_dim=16", "box_dims=16", "box_hidden=16", "mask_dims=16")),
    *("task.detector.anchors_sampled=32", "task.detector.boxes_sampled=16", "task.detector.proposals_training=50,50"),
)  # fmt: skip
"""The same of a recipe for COCO."""


def first_losses(name: str, *settings_given: str, num_steps: int = NUM_STEPS) -> list[float]:
    """The losses of the first steps, on one thread; of the digits as PNG files where the recipe brings no data."""
    losses: list[float] = []
    watcher = Watcher(show=lambda record: losses.append(record["loss"]), stop=lambda: len(losses) == num_steps)
    with TemporaryDirectory() as folder:
        path = Path(folder)
        settings = _settings(name, path)
        run = prepare_run(find_recipe(name, [*settings, "num_threads=1", *settings_given]))
        draw_alike(run.state.model)
        train_run(run, begin_run(run, path / "run"), watcher)
    return losses[:num_steps]


@torch.no_grad()
def draw_alike(model: nn.Module) -> None:
    """Give it weights that are the same on every CPU: those of torch.randn differ in their last digits.

    Thirty steps make 1e-4 of that in the loss of the digits, and other boxes in a detector.
    """
    for index, weight in enumerate(model.parameters()):
        if weight.ndim > 1 and (spread := float(f"{weight.std():.1e}")):
            draws = random_uniforms(Purpose.INIT, index, np.arange(weight.numel())) - 0.5
            weight.copy_(torch.from_numpy(draws * 12**0.5 * spread).view_as(weight))


def _settings(name: str, path: Path) -> list[str]:
    """What to change of a recipe so that ten steps take a moment."""
    if name in ("digits", "long_range"):
        return []
    if name == "digit_scenes":
        return [*SCENES, "data.num_train=40", "data.num_test=4"]
    if name == "coco_mask_rcnn":
        write_scenes(SceneConfig(num_train=40, num_test=4), path / "data")
        return [*SMALL_DETECTOR, f"data.path={path / 'data'}"]
    return [*SMALL, *_written(name, path)]


def _written(name: str, path: Path) -> list[str]:
    """The data that the recipe reads, and what else it needs."""
    write_digits(path / "data", "tree")
    settings = [f"data.path={path / 'data'}"]
    if name == "fine_tune":
        torch.manual_seed(0)
        save_weights(create_model("lambda_tiny", num_classes=7, in_chans=3), path / "weights.safetensors")
        settings.append(f"task.init={path / 'weights.safetensors'}")
    if name == "pseudo_label":
        settings.append(f"data.pseudo.labels={_labelled(path / 'data' / 'val', path / 'labels.jsonl')}")
    return settings


def _labelled(pool: Path, labels: Path) -> Path:
    """What a teacher could have said of the pictures in a folder: half this class, half the next."""
    pictures = StoredConfig().load_pool(str(pool))
    lines = [
        {
            "name": pictures.name(index),
            "sha256": pictures.content_hash(index),
            "probabilities": {str(index % 10): 0.6, str((index + 1) % 10): 0.4},
        }
        for index in range(len(pictures))
    ]
    write_labels(labels, {"classes": [str(digit) for digit in range(10)], "pool": str(pool)}, lines)
    return labels


@pytest.mark.parametrize("name", RECIPES)
def test_the_first_losses_are_the_stored_ones(name: str) -> None:
    stored = json.loads((GOLDEN / f"losses_{name}.json").read_text())
    assert len(stored) == NUM_STEPS
    # The bound of R24. Another order of summation (2 threads for 1) moved the digits' ten by 3e-7 at most.
    assert first_losses(name) == pytest.approx(stored, abs=1e-5, rel=0)


def test_thirty_steps_of_the_digits_are_the_stored_ones() -> None:
    """R24, in float64: after 30 steps in float32 another order of summation (2 threads for 1) is 6e-5 away."""
    stored = json.loads(LONG_GOLDEN.read_text())
    assert len(stored) == 30
    assert first_losses("digits", "precision.dtype=float64", num_steps=30) == pytest.approx(stored, abs=1e-5, rel=0)


if __name__ == "__main__":
    LONG_GOLDEN.write_text(json.dumps(first_losses("digits", "precision.dtype=float64", num_steps=30), indent=1) + "\n")
    for recipe in RECIPES:
        (GOLDEN / f"losses_{recipe}.json").write_text(json.dumps(first_losses(recipe), indent=1) + "\n")
