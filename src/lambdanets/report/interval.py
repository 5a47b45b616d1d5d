"""How far a share that was counted on a sample may be from the truth."""

from math import sqrt

Z_95 = 1.959963984540054
"""The normal distribution has 95 % within this many standard deviations."""


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `correct` in `total` are a sample, both ends in 0…1.

    Unlike the plain ± it stays within 0…1 and means something for 0 or all right. Source: Wilson 1927.

    Raises:
        ValueError: no sample, or more right than there are.
    """
    if not 0 <= correct <= total or total == 0:
        raise ValueError(f"got {correct} of {total}, wanted a part of at least one.")
    share, shrink = correct / total, 1 + Z_95**2 / total
    centre = (share + Z_95**2 / (2 * total)) / shrink
    reach = Z_95 / shrink * sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    return max(0.0, centre - reach), min(1.0, centre + reach)
