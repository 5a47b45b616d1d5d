"""How good predictions are: top-1 and top-5, classes, calibration; in whole pictures, which add up over any batches.

A picture that could not be read is wrong, whatever the network says of the zeros in its place.

Letters: n images, c classes.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NUM_BINS = 15
"""Bins of the calibration error."""
FIVE = 5


def right_within(
    scores: Float[Tensor, "n c"], labels: Int[Tensor, " n"], readable: Bool[Tensor, " n"], k: int = 1
) -> Bool[Tensor, " n"]:
    """Whether the true class of each image is among the k that score highest; of equals the first counts as higher.

    With fewer than k classes it always is, where the image could be read.
    """
    own = scores.gather(1, labels[:, None])
    numbers = torch.arange(scores.shape[1], device=scores.device)
    ahead = (scores > own) | ((scores == own) & (numbers < labels[:, None]))
    unknown = scores.isnan().any(1)
    return (ahead.sum(1) < k) & readable & ~unknown


def calibration_error(confidences: Float[Tensor, " n"], right: Bool[Tensor, " n"], num_bins: int = NUM_BINS) -> float:
    """The expected calibration error (Guo et al. 2017), 0…1: how far confidence and accuracy are apart.

    Images are put into bins of equal width by the probability of their likeliest class, each bin open below and closed
    above; the distance of mean confidence and accuracy is averaged over the bins by their number of images. NaN for
    none.
    """
    if not len(confidences):
        return float("nan")
    edges = torch.linspace(0, 1, num_bins + 1, dtype=torch.float64)[1:-1]
    bins = torch.bucketize(confidences.double().cpu(), edges)
    gaps = torch.zeros(num_bins, dtype=torch.float64)
    gaps.index_add_(0, bins, confidences.double().cpu() - right.double().cpu())
    return float(gaps.abs().sum() / len(confidences))
