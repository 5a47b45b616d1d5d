from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lambdanets.data.digits import (
    FORM_BOUNDARIES,
    TEST_FORMS,
    TRAIN_FORMS,
    Digits,
    DigitsConfig,
    DigitsSplit,
    random_affines,
)

CONFIG = DigitsConfig()


@pytest.fixture(scope="module")
def digits() -> Digits:
    return CONFIG.load()


def test_the_split_is_by_form(digits: Digits) -> None:
    assert (len(digits.train), len(digits.test)) == (1287, 510)
    assert digits.validation is None
    pixels, labels = load_digits(return_X_y=True)
    in_test = np.arange(FORM_BOUNDARIES[9], FORM_BOUNDARIES[13])
    assert np.array_equal(digits.test.images.reshape(510, 64).numpy() * 16, pixels[in_test])
    assert np.array_equal(digits.test.labels.numpy(), labels[in_test])
    assert sorted((*TRAIN_FORMS, *TEST_FORMS)) == list(range(14))


def test_no_image_is_on_both_sides(digits: Digits) -> None:
    rows = [{image.numpy().tobytes() for image in split.images} for split in (digits.train, digits.test)]
    assert not rows[0] & rows[1]


def test_held_out_forms_leave_training_and_join_validation() -> None:
    split = replace(CONFIG, validation_forms=(0, 13)).load()
    assert split.validation is not None
    assert (len(split.train), len(split.validation), len(split.test)) == (1287 - 130 - 130, 260, 510)


def test_a_plain_batch_is_normalised_network_input(digits: Digits) -> None:
    images, labels, weights, notes = digits.train.plain(np.arange(5))
    assert weights.tolist() == [1.0] * 5
    assert notes == ()
    assert images.shape == (5, 1, 32, 32)
    assert images.dtype == torch.float32
    assert labels.tolist() == [0, 1, 2, 3, 4]
    statistics = CONFIG.preprocess
    pixels = images * statistics.std[0] + statistics.mean[0]
    assert pixels.min() >= -1e-6
    assert pixels.max() <= 1 + 1e-6


def test_the_normalisation_suits_the_training_images(digits: Digits) -> None:
    images = digits.train.plain(np.arange(len(digits.train))).images
    assert abs(float(images.mean())) < 0.1
    assert abs(float(images.std()) - 1) < 0.15


def test_padding_keeps_strokes_off_the_border(digits: Digits) -> None:
    every = np.arange(len(digits.train))
    bare = replace(digits.train, config=replace(CONFIG, padding=0))
    ink = [split.plain(every)[0][..., 0, :] * 0.3 + 0.2 for split in (digits.train, bare)]
    # bicubic interpolation reaches two pixels far, so a little of a full stroke still arrives at the border
    assert ink[0].max() < 0.2
    assert ink[1].max() > 0.75


def test_augmentation_depends_on_seed_epoch_and_index_only(digits: Digits) -> None:
    indices, epochs = np.array([4, 900, 4]), np.array([0, 0, 1])
    together, labels, *_ = digits.train.augmented(indices, epochs, seed=3)
    alone = digits.train.augmented(indices[1:2], epochs[1:2], seed=3).images
    assert torch.equal(together[1:2], alone)
    assert not torch.equal(together[0], together[2])
    assert not torch.equal(digits.train.augmented(indices, epochs, seed=4)[0], together)
    assert labels.tolist() == digits.train.labels[indices].tolist()


def test_without_variation_augmented_is_plain(digits: Digits) -> None:
    still = replace(CONFIG, rotation=0, scaling=0, shear=0, translation=0)
    split = replace(digits.train, config=still)
    indices = np.arange(20)
    assert torch.equal(split.augmented(indices, indices, seed=0)[0], split.plain(indices)[0])


def test_affines_stay_in_their_ranges() -> None:
    indices = np.arange(5000)
    config = replace(CONFIG, rotation=20, shear=0, scaling=0.2, translation=0.1)
    affines = random_affines(indices, np.zeros_like(indices), 0, config)
    angles = torch.rad2deg(torch.atan2(affines[:, 1, 0], affines[:, 0, 0]))
    scales = 1 / affines[:, :, :2].norm(dim=1)
    for numbers, limit in ((angles, 20), (scales - 1, 0.2), (affines[:, :, 2], 0.2)):
        assert limit * 0.98 < numbers.abs().max() <= limit * (1 + 1e-5)
        assert abs(float(numbers.mean())) < limit * 0.05


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_size", 4),
        ("padding", -1),
        ("rotation", float("nan")),
        ("scaling", 1.0),
        ("shear", 80),
        ("translation", -0.1),
        ("validation_forms", (9,)),
        ("validation_forms", TRAIN_FORMS),
    ],
)
def test_a_wrong_number_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"data.{field}: got .* wanted"):
        DigitsConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [10, 100, 105])
def test_few_labels_are_balanced_and_the_rest_is_a_pool_without_labels(count: int) -> None:
    config = DigitsConfig(labelled=count)
    train, pool = config.load().train, config.load_pool()
    assert isinstance(train, DigitsSplit)
    assert len(train) == count
    assert len(train) + len(pool) == 1287
    counts = train.labels.bincount(minlength=10)
    assert int(counts.max() - counts.min()) <= 1
    assert set(pool.labels.tolist()) == {-1}
    names = [split.name(index) for split in (train, pool) for index in range(len(split))]
    assert len(set(names)) == 1287


def test_the_seed_chooses_which_labels_are_seen() -> None:
    names = []
    for seed in (0, 1, 0):
        train = DigitsConfig(labelled=50, labelled_seed=seed).load().train
        names.append([train.name(index) for index in range(50)])
    assert names[0] == names[2] != names[1]


def test_held_out_forms_are_neither_labelled_nor_in_the_pool() -> None:
    config = DigitsConfig(labelled=100, validation_forms=(7, 8))
    data, pool = config.load(), config.load_pool()
    assert data.validation is not None
    inside = {split.content_hash(index) for split in (data.train, pool) for index in range(len(split))}
    assert len(data.train) + len(pool) + len(data.validation) == 1287
    outside = {data.validation.content_hash(index) for index in range(len(data.validation))}
    assert not inside & outside


@pytest.mark.parametrize(
    ("config", "path", "message"),
    [({}, "digits", "none is left"), ({"labelled": 100}, "pictures", "wanted 'digits'")],
    ids=["all-labelled", "elsewhere"],
)
def test_a_pool_that_is_not_there_is_refused(config: dict[str, int], path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DigitsConfig(**config).load_pool(path)


@pytest.mark.parametrize("wrong", [{"labelled": 9}, {"labelled": 5000}, {"labelled_seed": -1}], ids=str)
def test_labels_that_cannot_be_chosen_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"data\.labelled"):
        DigitsConfig(**wrong)
