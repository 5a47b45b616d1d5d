from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lambdanets import create_model
from lambdanets.layers import LambdaLayer, interactions
from lambdanets.ops import Problem
from lambdanets.ops.choice import ORDERS, why_not
from lambdanets.study.interactions import EXACT, Interactions
from lambdanets.study.looks import differences, look, packed, reach, spread, telling_places, unpacked
from lambdanets.study.part import Answer, StudyOptions
from lambdanets.study.trained import trained

PART = Interactions()
PLACES = [(0.5, 0.5), (0.1, 0.9)]
MAP = Problem(b=1, h=4, k=6, v=3, query_size=(9, 8), context_size=(9, 8), scope=(5, 5))
ABLE = {"reference", *(order.NAME for order in ORDERS if why_not(order, MAP) is None)}
"""Orders that compute on this machine's CPU."""


def trained_like(**options: object) -> LambdaLayer:
    """A layer whose norms have seen data, so that no factor is 1 by chance."""
    layer = LambdaLayer(12, dim_key=6, **options)
    for norm in (layer.norm_query, layer.norm_value):
        torch.nn.init.uniform_(norm.running_mean, -1, 1)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    return layer.eval()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    threads = torch.get_num_threads()
    path = trained(tmp_path_factory.mktemp("study") / "digits", "digits", ["epochs=0.25"])
    torch.set_num_threads(threads)
    return path


@pytest.fixture(scope="module")
def answer(run: Path) -> Answer:
    (piece,) = PART.pieces(StudyOptions(folder=run.parent, run=run))
    return piece.work()


@pytest.mark.parametrize(
    "options",
    [{"scope": 5}, {"scope": 23, "stride": 2}, {"scope": 5, "dim_intra": 2}, {"content": False, "scope": 7}],
    ids=["both", "wide-pooled", "intra-depth", "position-only"],
)
def test_the_weights_reproduce_the_layer_in_every_order(options: dict[str, object]) -> None:
    layer, x = trained_like(**options), torch.randn(1, 12, 9, 8)
    found = differences(layer, x)
    assert set(found) == ABLE >= {"reference", "dense", "convolution", "rows", "scores", "fourier_rows", "fourier"}
    assert max(one["absolute"] / one["output"] for one in found.values()) < EXACT
    assert max(one["absolute"] for one in differences(layer.double(), x.double()).values()) < EXACT


def test_orders_that_cannot_run_are_left_out() -> None:
    found = differences(trained_like(num_axes=3, scope=3), torch.randn(1, 12, 3, 4, 2))
    assert ABLE - set(found) == {"convolution"}  # takes no maps of three axes


def test_a_wrong_weight_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = trained_like(scope=5), torch.randn(1, 12, 6, 6)

    def wrong(*arguments: object, **options: object) -> object:
        seen = interactions(*arguments, **options)
        seen.position[0, 0, 3, 10] += 0.01
        return seen

    monkeypatch.setattr("lambdanets.study.looks.interactions", wrong)
    assert min(one["absolute"] / one["output"] for one in differences(layer, x).values()) > EXACT


def test_how_a_layer_sees_is_counted_without_signs() -> None:
    layer, x = trained_like(content=False, scope=3), torch.randn(1, 12, 6, 6)
    assert reach("near", layer, x).beyond == 0  # a table of 3 × 3 sees no further
    assert reach("near", layer, x).position_share == 1
    wide = trained_like(scope=None)
    assert reach("all", wide, x).position_share == 0
    assert 0.5 < reach("all", wide, x).beyond < 1


def test_spread_numbers_are_all_of_few_and_some_of_many() -> None:
    assert spread(3) == [0, 1, 2]
    assert len(spread(10_000)) == 256
    assert spread(10_000)[0] == 0
    assert spread(10_000)[-1] == 9999


def test_the_brightest_place_is_asked_from() -> None:
    image = torch.zeros(1, 1, 32, 32)
    image[..., 9, 29] = 1
    assert telling_places(image)[0] == pytest.approx((2.5 / 8, 7.5 / 8))


def test_arrays_come_back() -> None:
    arrays = {"c2.0.mixer/content": np.arange(6, dtype=np.float32).reshape(2, 3)}
    back = unpacked(packed(arrays))
    assert list(back) == list(arrays)
    np.testing.assert_array_equal(back["c2.0.mixer/content"], arrays["c2.0.mixer/content"])


def test_drawn_weights_are_those_of_the_library_function() -> None:
    model, image = create_model("lambda_tiny").eval(), torch.randn(1, 3, 32, 32)
    found = look(model, image, PLACES)
    name = found["drawn"][0]
    with torch.no_grad():
        x = model.step(model.stem(image))
        block = model.c2[0]
        x = torch.relu(block.norm_reduce(block.reduce(x)))
        seen = interactions(block.mixer, x, queries=[4 * 8 + 4, 0 * 8 + 7])
    drawn = unpacked(found["maps"])[f"{name}/position"]
    torch.testing.assert_close(torch.tensor(drawn), seen.position[0, ..., 0].transpose(0, 1).unflatten(2, (8, 8)))


def test_a_network_without_lambda_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="no lambda layers"):
        look(create_model("resnet50_cccc", num_classes=2).eval(), torch.randn(1, 3, 32, 32), PLACES)


def test_a_run_is_looked_into(run: Path, answer: Answer) -> None:
    shown = PART.shown(StudyOptions(folder=run.parent, run=run), {"any": answer})
    orders, layers = shown.tables
    assert {row[0] for row in orders.rows} == ABLE
    assert all(float(row[3]) < EXACT and float(row[4]) < EXACT for row in orders.rows)
    assert len(layers.rows) == 6
    assert "The weights reproduce" in shown.summary[2]
    assert len(shown.figures) == 3
    assert all(figure.png.startswith(b"\x89PNG") for figure in shown.figures)


def test_a_difference_that_is_too_large_is_told(run: Path, answer: Answer) -> None:
    worse = {name: one | {"relative": 2e-5} for name, one in answer["orders"].items()}
    shown = PART.shown(StudyOptions(folder=run.parent, run=run), {"any": answer | {"orders": worse, "drawn": []}})
    assert "DO NOT reproduce" in shown.summary[2]


def test_signs_can_be_told_in_grey(run: Path, answer: Answer) -> None:
    turned = answer | {"maps": packed({name: -part for name, part in unpacked(answer["maps"]).items()})}
    options = StudyOptions(folder=run.parent, run=run)
    one, other = (PART.shown(options, {"any": found}).figures for found in (answer, turned))
    for figures in zip(one, other, strict=True):
        grey = [np.asarray(Image.open(BytesIO(figure.png)).convert("L"), dtype=int) for figure in figures]
        assert (np.abs(grey[0] - grey[1]) > 25).mean() > 0.05  # of all the picture, margins too


def test_a_picture_of_the_readers_own(run: Path, tmp_path: Path) -> None:
    Image.effect_noise((50, 40), 80).save(tmp_path / "mine.png")
    options = StudyOptions(folder=tmp_path, run=run, image=tmp_path / "mine.png")
    (piece,) = PART.pieces(options)
    assert piece.work()["image"].startswith("the picture mine.png")
    assert piece.key != PART.pieces(StudyOptions(folder=tmp_path, run=run))[0].key


def test_a_finished_run_is_not_trained_again(run: Path) -> None:
    before = (run / "result.json").stat().st_mtime_ns
    assert trained(run, "digits", ["epochs=0.25"]) == run
    assert (run / "result.json").stat().st_mtime_ns == before


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the folder of a finished run"):
        PART.pieces(StudyOptions(folder=tmp_path, run=tmp_path))
