"""The ImageNet recipes say what the paper says, and what depends on model, size, batch and length follows them."""

import pytest

from lambdanets.models import list_models
from lambdanets.recipes.imagenet import Regularisation, regularisation_of
from lambdanets.recipes.registry import RECIPES, find_recipe
from lambdanets.training.schedule import learning_rate_at

PUBLISHED = {  # section 3 of the paper's facts, every size that the paper trains
    (50, 128): (10, 0.25, 0), (50, 160): (10, 0.25, 0), (101, 160): (10, 0.25, 0), (101, 192): (15, 0.25, 0),
    (152, 192): (15, 0.25, 0), (152, 224): (15, 0.25, 0), (152, 256): (15, 0.25, 0), (200, 256): (15, 0.25, 0.1),
    (270, 256): (15, 0.25, 0.1), (350, 256): (15, 0.25, 0.1), (350, 320): (15, 0.4, 0.1), (420, 320): (15, 0.4, 0.1),
}  # fmt: skip


@pytest.mark.parametrize(("place", "expected"), PUBLISHED.items(), ids=str)
def test_regularisation_follows_depth_and_size(place: tuple[int, int], expected: tuple[int, float, float]) -> None:
    depth, size = place
    config = find_recipe("imagenet_350", [f"model=lambda_resnet{depth}", f"data.image_size={size}"])
    options = config.model_options
    found = (config.data.rand_augment_magnitude, options["drop_rate"], options["drop_path_rate"])  # type: ignore[attr-defined]
    assert found == expected


def test_every_lambda_resnet_has_its_regularisation_and_other_networks_the_weakest() -> None:
    for name in list_models():
        if name.startswith("lambda_resnet"):
            assert regularisation_of(name, 224).dropout > 0
    assert regularisation_of("resnet50_llll", 224) == Regularisation(10, 0, 0)


@pytest.mark.parametrize(("name", "epochs"), [("imagenet_90", 90), ("imagenet_350", 350)])
def test_the_learning_rate_rises_linearly_for_five_epochs_and_falls_to_nothing(name: str, epochs: int) -> None:
    config = find_recipe(name)
    steps = config.num_steps(1_281_167)
    rates = [learning_rate_at(step, steps, config.optimizer.learning_rate, config.schedule) for step in range(steps)]
    top = round(5 / epochs * steps)
    assert config.epochs == epochs
    assert rates[0] == 0
    assert max(rates) == pytest.approx(0.1 * 4096 / 256)
    assert rates.index(max(rates)) == pytest.approx(top, abs=1)
    assert rates[top // 2] == pytest.approx(max(rates) / 2, rel=0.01)
    assert rates[-1] < 1e-5 * max(rates)


@pytest.mark.parametrize(("name", "decay"), [("imagenet_90", 1e-4), ("imagenet_350", 4e-5)])
def test_the_rest_is_the_paper_s(name: str, decay: float) -> None:
    config = find_recipe(name)
    optimizer, average, task = config.optimizer, config.average, config.task
    assert (optimizer.name, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.9, decay)
    assert (average.decay, task.label_smoothing) == (0.9999, 0.1)  # type: ignore[attr-defined]
    assert (config.precision.dtype, config.precision.channels_last) == ("bfloat16", True)
    assert config.data.rand_augment_layers == (2 if name == "imagenet_350" else 0)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(RECIPES.keys() - {"digits", "digit_scenes", "long_range"}))
def test_the_learning_rate_follows_the_batch_unless_it_is_set(name: str) -> None:
    usual = find_recipe(name)
    half = find_recipe(name, [f"batch_size={usual.batch_size // 2}"])
    assert half.optimizer.learning_rate == usual.optimizer.learning_rate / 2
    settings = ["optimizer.learning_rate=0.7", "batch_size=64", "model_options.drop_rate=0.9", "model=lambda_resnet420"]
    chosen = find_recipe(name, settings)
    assert chosen.optimizer.learning_rate == 0.7
    assert chosen.model_options["drop_rate"] == 0.9
    assert chosen.model == "lambda_resnet420"


def test_a_short_run_rises_for_a_fifth_of_it() -> None:
    assert find_recipe("imagenet_350", ["epochs=1"]).schedule.warmup_fraction == 0.2
