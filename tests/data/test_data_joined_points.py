"""Are two points joined? The pictures are reproducible, balanced, right, and tell nothing by patches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from sklearn.linear_model import RidgeClassifier

from lambdanets.data import curve_drawing
from lambdanets.data.counter import Purpose, random_uniforms
from lambdanets.data.curve_drawing import NUM_CHANCES, PATCH, SPACING, Curves, draw_curves
from lambdanets.data.joined_points import JoinedPointsConfig
from lambdanets.models import create_model

SIDE = 48


@pytest.fixture(scope="module")
def data():
    return JoinedPointsConfig().load()


def curves_of(joined, distance, count=3000):
    chances = random_uniforms(Purpose.CURVES, 7 + joined, np.arange(count)[:, None], np.arange(NUM_CHANCES))
    return Curves.by_chance(chances, np.full(count, distance), np.full(count, joined), SIDE)


def test_pictures_have_the_promised_shape_and_scale(data):
    batch = data.test.plain(np.arange(600))
    assert batch.images.shape == (600, 1, SIDE, SIDE)
    assert batch.images.dtype == torch.float32
    assert abs(batch.images.mean()) < 0.1
    assert 0.8 < batch.images.std() < 1.2


def test_a_picture_depends_on_its_numbers_alone(data):
    indices, epochs = np.array([5, 900]), np.array([0, 2])
    together = data.train.augmented(indices, epochs, 1).images
    alone = data.train.augmented(indices[1:], epochs[1:], 1).images
    torch.testing.assert_close(together[1:], alone, rtol=0, atol=0)


@pytest.mark.parametrize("other", [(5, 1, 1), (5, 0, 2), (6, 0, 1)], ids=["epoch", "seed", "index"])
def test_no_training_picture_comes_twice(data, other):
    index, epoch, seed = other
    first = data.train.augmented(np.array([5]), np.array([0]), 1).images
    second = data.train.augmented(np.array([index]), np.array([epoch]), seed).images
    assert not torch.equal(first, second)


def test_what_is_judged_is_not_what_is_learned():
    data = JoinedPointsConfig(num_validation=60).load()
    train, validation, test = (split.plain(np.arange(60)).images for split in (data.train, data.validation, data.test))
    assert not torch.equal(train, test)
    assert not torch.equal(validation, test)


def test_labels_and_distances_are_balanced(data):
    places = np.arange(len(data.test))
    joined, distance = data.test.joined(places), data.test.distance(places)
    counts = {(d, label): int(((distance == d) & (joined == label)).sum()) for d in (24, 30, 36) for label in (0, 1)}
    assert set(counts.values()) == {250}


@pytest.mark.parametrize("distance", [24, 30, 36])
def test_a_flood_along_the_curves_finds_the_label(distance, monkeypatch):
    """Without gaps the dots are in one connected piece of ink exactly where they are joined."""
    monkeypatch.setattr(curve_drawing, "_INK", 1.0)
    for joined in (0, 1):
        curves = replace(curves_of(joined, distance, 60), is_upright=np.zeros(60, bool))
        for number, ink in enumerate(draw_curves(curves, SIDE)):
            pieces, count = ndimage.label(ink > 0.2, structure=np.ones((3, 3)))
            assert count == 2
            first = pieces[round(curves.left_dots[number]), round(curves.left[number])]
            last = pieces[round(curves.right_dots[number]), round(curves.left[number] + distance)]
            assert first
            assert last
            assert (first == last) == bool(joined)


def taken_apart(curves):
    """The same curves with the dots as they are on such curves when they are apart."""
    begun = (curves.rise > 0).astype(np.int64)
    return replace(curves, begun=begun, ended=1 - begun)


def patches_of(ink, side):
    """All patches of a picture, as rows in an order that depends on what is in them alone."""
    beyond = np.pad(ink, side - 1, constant_values=-1)  # not as the ground, so that a patch that is cut shows it
    windows = np.lib.stride_tricks.sliding_window_view(beyond, (side, side))
    patches = np.round(windows.reshape(-1, side * side), 4) + 0.0
    return patches[np.lexsort(patches.T)]


@pytest.mark.parametrize("distance", [24, 30, 36])
def test_small_patches_are_the_same_for_both_labels(distance):
    """Moving dots to other ends changes the label, and moves patches: no bag of them can tell."""
    curves = curves_of(1, distance, 40)
    for joined, apart in zip(draw_curves(curves, SIDE), draw_curves(taken_apart(curves), SIDE), strict=True):
        assert not np.array_equal(joined, apart)
        np.testing.assert_allclose(patches_of(joined, PATCH), patches_of(apart, PATCH), atol=1e-3)


def test_larger_patches_are_not_the_same():
    """The test above could not fail if it were blind."""
    curves = curves_of(1, 36, 1)
    joined, apart = draw_curves(curves, SIDE)[0], draw_curves(taken_apart(curves), SIDE)[0]
    assert not np.allclose(patches_of(joined, 2 * SPACING), patches_of(apart, 2 * SPACING), atol=1e-3)


@pytest.mark.parametrize("trained", [False, True], ids=["as drawn", "with other weights"])
def test_the_network_of_patches_cannot_tell(data, trained):
    """Not its pool, its head or its training keep the reference at chance, but what it sees."""
    torch.manual_seed(1)
    model = create_model("probe_patches", num_classes=2, in_chans=1, global_pool="catavgmax").eval()
    if trained:
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    curves = curves_of(1, 30, 40)
    with torch.no_grad():
        joined, apart = (model(data.test.as_input(draw_curves(one, SIDE))) for one in (curves, taken_apart(curves)))
    torch.testing.assert_close(joined, apart, rtol=1e-3, atol=1e-4)
    assert joined.std(dim=0).min() > 1e-3  # it does tell other pictures apart


@pytest.mark.parametrize("distance", [24, 36])
def test_nothing_by_itself_tells_the_label(distance):
    apart, joined = (curves_of(label, distance) for label in (0, 1))
    for name in ("rise", "left", "middle"):
        assert stats.ks_2samp(getattr(apart, name), getattr(joined, name)).pvalue > 1e-3, name
    for name in ("left_dots", "right_dots"):
        assert stats.ks_2samp(getattr(apart, name), getattr(joined, name)).pvalue > 1e-3, name
    heights = [one.right_dots - one.left_dots for one in (apart, joined)]
    assert stats.ks_2samp(*heights).pvalue > 1e-3
    for name in ("begun", "ended"):
        table = [np.bincount(getattr(one, name), minlength=2) for one in (apart, joined)]
        assert stats.chi2_contingency(table).pvalue > 1e-3, name


@pytest.mark.parametrize("distance", [24, 36])
def test_the_known_way_out_is_there(distance):
    """Dots apart lie evenly about the curves' middle: docs/decisions/0012-long-range.md."""
    for label in (0, 1):
        one = curves_of(label, distance)
        off = (one.left_dots + one.right_dots) / 2 - one.middle
        np.testing.assert_allclose(np.abs(off), label * SPACING / 2, atol=1e-9)


def test_everything_together_tells_the_label():
    """The test above could not fail if the numbers had nothing to do with the label."""
    for label in (0, 1):
        one = curves_of(label, 30)
        assert ((one.begun == one.ended) == bool(label)).all()
        assert set(np.unique(one.begun)) == set(np.unique(one.ended)) == {0, 1}


def test_a_linear_probe_stays_at_chance(data):
    train, test = data.train.plain(np.arange(12_000)), data.test.plain(np.arange(1500))
    probe = RidgeClassifier(alpha=1e3).fit(train.images.flatten(1), train.labels)
    assert probe.score(test.images.flatten(1), test.labels) < 0.55


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": ()}, r"data.distances: got \[\], wanted one or more of 24 to 38 pixels"),
        ({"distances": (16, 30)}, r"data.distances: got \[16, 30\], wanted one or more of 24 to 38"),
        ({"distances": (24, 40)}, r"data.distances: got \[24, 40\], wanted one or more of 24 to 38"),
        ({"image_size": 32}, "data.image_size: got 32, wanted 48 to 256"),
        ({"num_train": 0}, "data.num_train: got 0, wanted 1 to"),
    ],
    ids=["no distance", "too near", "too far", "too small", "no picture"],
)
def test_numbers_that_make_no_task_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        JoinedPointsConfig(**change)
