"""Top-k and calibration against torchmetrics, and by hand where it has no answer."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from lambdanets.training.evaluation import calibration_error, right_within


def drawn(seed: int, images: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, classes, generator=generator)
    return logits.softmax(1), torch.randint(classes, (images,), generator=generator)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(6, 20), st.sampled_from([1, 5]))
def test_top_k_is_torchmetrics(seed: int, images: int, classes: int, k: int) -> None:
    probabilities, labels = drawn(seed, images, classes)
    right = right_within(probabilities, labels, torch.ones(images, dtype=torch.bool), k)
    theirs = multiclass_accuracy(probabilities, labels, num_classes=classes, average="micro", top_k=k)
    assert int(right.sum()) == round(float(theirs) * images)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(2, 20))
def test_calibration_error_is_torchmetrics(seed: int, images: int, classes: int) -> None:
    probabilities, labels = drawn(seed, images, classes)
    confidences, right = probabilities.amax(1), probabilities.argmax(1) == labels
    theirs = multiclass_calibration_error(probabilities, labels, num_classes=classes, n_bins=15)
    assert calibration_error(confidences, right) == pytest.approx(float(theirs), abs=2e-6)  # theirs adds in float32


def test_calibration_error_by_hand() -> None:
    confidences = torch.tensor([1.0, 1.0, 0.5, 0.5])
    right = torch.tensor([True, False, True, False])
    assert calibration_error(confidences, right) == 0.25  # half of the images, 0.5 apart; the others none
    assert math.isnan(calibration_error(confidences[:0], right[:0]))


def test_an_image_that_cannot_be_read_is_wrong() -> None:
    scores, labels = torch.tensor([[2.0, 1.0], [2.0, 1.0]]), torch.tensor([0, 0])
    assert right_within(scores, labels, torch.tensor([True, False])).tolist() == [True, False]
    assert right_within(scores, labels, torch.tensor([True, False]), k=5).tolist() == [True, False]


def test_of_equal_scores_the_first_counts_as_the_argmax_does() -> None:
    scores = torch.zeros(3, 3)
    right = right_within(scores, torch.arange(3), torch.ones(3, dtype=torch.bool))
    assert right.tolist() == (scores.argmax(1) == torch.arange(3)).tolist() == [True, False, False]


def test_scores_that_are_no_numbers_are_never_right() -> None:
    scores = torch.full((2, 3), torch.nan)
    assert not right_within(scores, torch.tensor([0, 1]), torch.ones(2, dtype=torch.bool), k=5).any()
