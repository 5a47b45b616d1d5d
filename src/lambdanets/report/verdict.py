"""What the figures of a run allow one to say of it, in sentences that follow them."""

from lambdanets.report.findings import Findings, Score
from lambdanets.report.page import percent

NO_BESIDE = "Nothing was trained beside it, so how good that is, the data decides; how sure it is, the interval says."
HONEST = "It shows that training works, not that lambda layers beat convolutions: on digits a convolution does as well."


def verdict(findings: Findings) -> list[str]:
    """Sentences on whether the network's accuracy is a good one: beside guessing, and beside the best plain method."""
    own, guessing = findings.own, 1 / len(findings.class_names)
    if own.interval[0] <= guessing:
        chance = percent(guessing, 0 if guessing > 0.03 else 1)
        return [f"No. Guessing is right in {chance}, and this network can hardly be told from it."]
    if not findings.baselines:
        return [HONEST if findings.are_digits else NO_BESIDE]
    best = max(findings.baselines, key=lambda score: score.accuracy)
    return _beside(own, best) + ([HONEST] if findings.are_digits and own.accuracy >= best.interval[0] else [])


def _beside(own: Score, best: Score) -> list[str]:
    """The network against the 95 % interval of a plain method: below, within or above it."""
    low, high = best.interval
    reached, span = percent(own.accuracy), f"{percent(low)} to {percent(high)}"
    if own.accuracy < low:
        return [
            f"Not yet. A plain method, the {best.name}, does better on the same images: {reached} is below its "
            f"interval, {span}.",
            "Training longer is the first thing to try.",
        ]
    if own.accuracy > high:
        return [f"Yes: {reached} is above the interval of the best plain method, the {best.name}: {span}."]
    return [
        f"As good as the best plain method: {reached} is within the interval of the {best.name}, {span}, so these "
        "images hardly tell the two apart.",
    ]
