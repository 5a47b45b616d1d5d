"""Are two points joined? The pictures are reproducible, balanced, right, and tell nothing near a point."""

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from sklearn.linear_model import RidgeClassifier

from lambdanets.data import curve_drawing
from lambdanets.data.counter import Purpose, random_uniforms
from lambdanets.data.curve_drawing import NUM_CHANCES, SPACING, Curves, draw_curves
from lambdanets.data.joined_points import JoinedPointsConfig

SIDE = 48
MANY = np.arange(3000)


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
    counts = {(d, label): int(((distance == d) & (joined == label)).sum()) for d in (16, 26, 36) for label in (0, 1)}
    assert set(counts.values()) == {250}


@pytest.mark.parametrize("distance", [16, 26, 36])
def test_a_flood_along_the_curves_finds_the_label(data, distance, monkeypatch):
    """Without gaps the dots are in one connected piece of ink exactly where they are joined."""
    monkeypatch.setattr(curve_drawing, "_INK", 1.0)
    found = []
    for joined in (0, 1):
        curves = curves_of(joined, distance, 60)
        curves.is_upright[:] = False
        for number, ink in enumerate(draw_curves(curves, SIDE)):
            pieces, _ = ndimage.label(ink > 0.2, structure=np.ones((3, 3)))
            ends = []
            for column, which, half in (
                (curves.left[number], curves.begun[number], -1),
                (curves.left[number] + distance, curves.ended[number], 1),
            ):
                row = curves.middle[number] + half * curves.rise[number] / 2 + (which - 0.5) * 9.0
                ends.append(pieces[round(row), round(column)])
            assert 0 not in ends
            found.append((ends[0] == ends[1]) == bool(joined))
    assert np.mean(found) > 0.97  # a dot of 2.4 pixels may still touch its neighbour's bend


@pytest.mark.parametrize("distance", [16, 36])
def test_nothing_by_itself_tells_the_label(distance):
    apart, joined = (curves_of(label, distance) for label in (0, 1))
    for name in ("rise", "bend", "left", "middle"):
        assert stats.ks_2samp(getattr(apart, name), getattr(joined, name)).pvalue > 1e-3, name
    heights = [one.rise + SPACING * (one.ended - one.begun) for one in (apart, joined)]
    assert stats.ks_2samp(*heights).pvalue > 1e-3
    for name in ("begun", "ended"):
        table = [np.bincount(getattr(one, name), minlength=2) for one in (apart, joined)]
        assert stats.chi2_contingency(table).pvalue > 1e-3, name


def test_everything_together_tells_the_label():
    """The test above could not fail if the numbers had nothing to do with the label."""
    for label in (0, 1):
        one = curves_of(label, 26)
        assert ((one.begun == one.ended) == bool(label)).all()
        assert set(np.unique(one.begun)) == set(np.unique(one.ended)) == {0, 1}


def test_a_linear_probe_stays_at_chance(data):
    train, test = data.train.plain(MANY), data.test.plain(np.arange(1500))
    probe = RidgeClassifier(alpha=1e3).fit(train.images.flatten(1), train.labels)
    assert probe.score(test.images.flatten(1), test.labels) < 0.55


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": ()}, r"data.distances: got \[\], wanted one or more of 8 to 38 pixels"),
        ({"distances": (16, 40)}, r"data.distances: got \[16, 40\], wanted one or more of 8 to 38"),
        ({"image_size": 16}, "data.image_size: got 16, wanted 32 to 256"),
        ({"num_train": 0}, "data.num_train: got 0, wanted 1 to"),
    ],
    ids=["no distance", "too far", "too small", "no picture"],
)
def test_numbers_that_make_no_task_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        JoinedPointsConfig(**change)
