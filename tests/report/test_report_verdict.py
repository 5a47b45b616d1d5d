"""The report's answer to "Is that good?" follows the figures beside it."""

from types import SimpleNamespace

import pytest

from lambdanets.report.findings import Score
from lambdanets.report.verdict import HONEST, NO_BESIDE, verdict


def findings(correct: int, *baselines: int, total: int = 510, are_digits: bool = True) -> SimpleNamespace:
    names = ("support vector machine", "nearest neighbour")
    return SimpleNamespace(
        own=Score(name="lambda_tiny", correct=correct, total=total),
        baselines=tuple(Score(name=n, correct=c, total=total) for n, c in zip(names, baselines, strict=False)),
        class_names=[str(digit) for digit in range(10)],
        are_digits=are_digits,
    )


@pytest.mark.parametrize(
    ("correct", "beginning", "honest"),
    [
        (
            506,
            "Yes: 99.2 % is above the interval of the best plain method, the nearest neighbour: 94.5 % to 97.8 %.",
            True,
        ),
        (494, "As good as the best plain method: 96.9 % is within the interval", True),
        (485, "As good as the best plain method: 95.1 % is within the interval", True),
        (360, "Not yet. A plain method, the nearest neighbour, does better on the same images: 70.6 % is below", False),
        (51, "No. Guessing is right in 10 %", False),
    ],
    ids=["above", "within-above", "within-below", "below", "guessing"],
)
def test_the_verdict_follows_the_figures(correct: int, beginning: str, honest: bool) -> None:
    said = verdict(findings(correct, 480, 492))  # type: ignore[arg-type]
    assert said[0].replace("\N{NO-BREAK SPACE}", " ").startswith(beginning)
    assert (HONEST in said) == honest


def test_without_plain_methods_little_is_said() -> None:
    assert verdict(findings(500)) == [HONEST]  # type: ignore[arg-type]


def test_of_other_data_nothing_is_said_that_is_known_of_digits_alone() -> None:
    assert verdict(findings(500, are_digits=False)) == [NO_BESIDE]  # type: ignore[arg-type]
    assert HONEST not in verdict(findings(506, 480, are_digits=False))  # type: ignore[arg-type]
