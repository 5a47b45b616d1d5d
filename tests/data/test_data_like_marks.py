"""Which marks are alike? The pictures are reproducible, balanced, right, and tell nothing by patches or by sums."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from lambdanets.data.counter import Purpose, random_uniforms
from lambdanets.data.like_marks import NUM_CHANCES, PATCH, LikeMarksConfig, Marks
from lambdanets.models import create_model

SIDE = 64
DISTANCES = (22, 25, 28)


@pytest.fixture(scope="module")
def data():
    return LikeMarksConfig().load()


def marks_of(beside, distance, count=3000):
    chances = random_uniforms(Purpose.MARKS, 7 + beside, np.arange(count)[:, None], np.arange(NUM_CHANCES))
    return Marks.by_chance(chances, np.full(count, distance), np.full(count, beside), SIDE)


def exchanged(marks):
    """The same marks with the kinds of two opposite corners exchanged: the other answer."""
    kinds = marks.kinds.copy()
    kinds[:, 0, 1], kinds[:, 1, 0] = marks.kinds[:, 1, 0], marks.kinds[:, 0, 1]
    return replace(marks, kinds=kinds)


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


@pytest.mark.parametrize("other", [(5, 1, 1), (5, 0, 2), (8, 0, 1)], ids=["epoch", "seed", "index"])
def test_epochs_and_seeds_have_pictures_of_their_own(data, other):
    index, epoch, seed = other
    first = data.train.augmented(np.array([5]), np.array([0]), 1).images
    second = data.train.augmented(np.array([index]), np.array([epoch]), seed).images
    assert not torch.equal(first, second)


def test_what_is_judged_is_hardly_ever_what_was_learned(data):
    """So few pictures are in both that knowing them by heart cannot show."""
    learned = {image.tobytes() for image in data.train.augmented(np.arange(12_800), np.zeros(1, int), 0).images.numpy()}
    both = sum(image.tobytes() in learned for image in data.test.plain(np.arange(1500)).images.numpy())
    assert both <= 0.02 * 1500
    assert len(learned) > 0.98 * 12_800


def test_a_validation_split_is_another_one():
    data = LikeMarksConfig(num_validation=60).load()
    validation, test = (split.plain(np.arange(60)).images for split in (data.validation, data.test))
    assert not torch.equal(validation, test)


def test_labels_and_distances_are_balanced(data):
    places = np.arange(len(data.test))
    beside, distance = data.test.beside(places), data.test.distance(places)
    counts = {(d, label): int(((distance == d) & (beside == label)).sum()) for d in DISTANCES for label in (0, 1)}
    assert set(counts.values()) == {250}


def leanings(picture):
    """Which way the stroke in each quarter around the middle of the ink leans: −1 falls, 1 rises."""
    rows, columns = np.nonzero(picture)
    row, column = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    found = np.empty((2, 2))
    for r, s in np.ndindex(2, 2):
        here = ((rows > row) == r) & ((columns > column) == s)
        found[r, s] = -np.sign(np.corrcoef(rows[here], columns[here])[0, 1])
    return found


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("beside", [0, 1])
def test_the_leanings_of_the_strokes_give_the_label(distance, beside):
    """Found from the pixels alone, in a way that shares nothing with how they are drawn."""
    for picture in marks_of(beside, distance, 40).drawn(SIDE):
        found = leanings(picture)
        assert found.sum() == 0
        assert (found[0, 0] == found[0, 1]) == bool(beside)
        assert (found[0, 0] == found[1, 0]) != bool(beside)


def patches_of(ink, side):
    """All patches of a picture, as rows in an order that depends on what is in them alone."""
    beyond = np.pad(ink, side - 1, constant_values=-1)  # not as the ground, so that a patch that is cut shows it
    windows = np.lib.stride_tricks.sliding_window_view(beyond, (side, side))
    patches = windows.reshape(-1, side * side)
    return patches[np.lexsort(patches.T)]


@pytest.mark.parametrize("distance", DISTANCES)
def test_small_patches_are_the_same_for_both_labels(distance):
    """Exchanging two marks changes the label and moves patches: no bag of them can tell."""
    marks = marks_of(1, distance, 20)
    for beside, above in zip(marks.drawn(SIDE), exchanged(marks).drawn(SIDE), strict=True):
        assert not np.array_equal(beside, above)
        np.testing.assert_array_equal(patches_of(beside, PATCH), patches_of(above, PATCH))


def test_larger_patches_are_not_the_same():
    """The test above could not fail if it were blind."""
    marks = marks_of(1, 28, 20)
    pairs = zip(marks.drawn(SIDE), exchanged(marks).drawn(SIDE), strict=True)
    assert not any(np.array_equal(patches_of(a, 29), patches_of(b, 29)) for a, b in pairs)


@pytest.mark.parametrize("distance", DISTANCES)
def test_sums_over_rows_and_columns_are_the_same_for_both_labels(distance):
    marks = marks_of(1, distance, 200)
    beside, above = marks.drawn(SIDE), exchanged(marks).drawn(SIDE)
    for axis in (1, 2):
        np.testing.assert_allclose(beside.sum(axis), above.sum(axis), atol=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_exchanged_marks_of_one_label_are_marks_of_the_other(distance):
    """As often, in the same places: a mark by itself tells nothing."""
    above, beside = marks_of(0, distance), marks_of(1, distance)
    np.testing.assert_array_equal(exchanged(beside).kinds[:, 0], 1 - exchanged(beside).kinds[:, 0][:, ::-1])
    for r, s in np.ndindex(2, 2):
        counts = [np.bincount(one.kinds[:, r, s], minlength=2) for one in (above, beside)]
        assert stats.chi2_contingency(counts).pvalue > 1e-3
        for name in ("rows", "columns"):
            places = [getattr(one, name)[:, r, s] for one in (above, beside)]
            assert stats.ks_2samp(*places).pvalue > 1e-3


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("step", [2, 4])
def test_places_on_a_stems_grid_tell_nothing(distance, step):
    """Grids of 2 and 4 pixels, as stems have: every place as often, whatever the label and the next corner's place."""
    for label in (0, 1):
        marks = marks_of(label, distance, 6000)
        for places in (marks.rows % step, marks.columns % step):
            for one, other in (((0, 0), (0, 1)), ((0, 0), (1, 0)), ((0, 1), (1, 0))):
                both = places[:, *one] * step + places[:, *other]
                assert stats.chisquare(np.bincount(both, minlength=step * step)).pvalue > 1e-4


WITHOUT_POSITIONS = {"patches": ("probe_patches", {}), "linear attention": ("probe_linear_attention", {})}
WITHOUT_POSITIONS |= {"content only": ("probe_lambda", {"scope": None})}


def outputs_of(data, model, **options):
    """What a network says of pictures, and of them with marks exchanged, all on one place of its stem's grid."""
    torch.manual_seed(1)
    model = create_model(model, num_classes=2, in_chans=1, **options).double().train()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    marks = marks_of(1, 25, 40)
    marks = replace(marks, rows=marks.rows // 4 * 4, columns=marks.columns // 4 * 4)
    with torch.no_grad():
        return [model(data.test.as_input(one.drawn(SIDE)).double()) for one in (marks, exchanged(marks))]


@pytest.mark.parametrize("pool", ["avg", "catavgmax"])
@pytest.mark.parametrize("name", WITHOUT_POSITIONS)
def test_networks_without_positions_cannot_tell(data, name, pool):
    """Not their pool, their head or their training keep them at chance, but what they see."""
    model, options = WITHOUT_POSITIONS[name]
    beside, above = outputs_of(data, model, global_pool=pool, **options)
    torch.testing.assert_close(beside, above, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("model", ["probe_convolution", "probe_attention", "probe_lambda"])
def test_networks_with_positions_could_tell(data, model):
    """The test above could not fail if it were blind."""
    beside, above = outputs_of(data, model)
    assert (beside - above).abs().max() > 1e-3


@pytest.mark.parametrize(
    "probe",
    [RidgeClassifier(alpha=1e5), RidgeClassifier(alpha=1e2), LogisticRegression(C=1e-5, max_iter=300)],
    ids=["ridge", "weak ridge", "logistic"],
)
def test_a_linear_probe_stays_at_chance(data, probe):
    train, test = data.train.plain(np.arange(12_000)), data.test.plain(np.arange(1500))
    probe.fit(train.images.flatten(1), train.labels)
    assert probe.score(test.images.flatten(1), test.labels) < 0.55


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_first_moment_tells(distance):
    """The way out that a task of this kind has, and that it is a sum over the whole picture."""
    for label in (0, 1):
        marks = marks_of(label, distance)
        across = ((2 * marks.kinds - 1) * marks.rows).sum((1, 2))
        assert ((np.abs(across) > distance) == bool(label)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": ()}, r"data.distances: got \[\], wanted one or more of 22 to 32 pixels"),
        ({"distances": (16, 30)}, r"data.distances: got \[16, 30\], wanted one or more of 22 to 32"),
        ({"distances": (22, 40)}, r"data.distances: got \[22, 40\], wanted one or more of 22 to 32"),
        ({"image_size": 48}, "data.image_size: got 48, wanted 64 to 256"),
        ({"num_train": 0}, "data.num_train: got 0, wanted 1 to"),
    ],
    ids=["no distance", "too near", "too far", "too small", "no picture"],
)
def test_numbers_that_make_no_task_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        LikeMarksConfig(**change)
