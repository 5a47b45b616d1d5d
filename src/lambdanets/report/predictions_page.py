"""What a network says of a stranger's pictures, and the page that shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from lambdanets.printable import printable
from lambdanets.report.page import render
from lambdanets.report.picture import data_uri, on_white

THUMBNAIL = 360
"""Longest side, in pixels, of a picture on the page."""

NO_INK = "no ink found"
"""What is said of a picture that shows nothing but paper."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One image file: the likeliest classes, none where it shows no ink, or why it could not be read."""

    path: Path
    error: str | None = None
    top: tuple[tuple[str, float], ...] = ()
    """(class, probability), the likeliest first; none for a picture without ink, of which nothing can be said."""
    given: Image.Image | None = None
    """The picture, made small."""
    seen: Float[Tensor, "c y x"] | None = None
    """What the network was given, pixels in 0…1."""

    def as_json(self) -> dict[str, Any]:
        """The answer for programs."""
        if self.error is not None:
            return {"image": str(self.path), "error": self.error}
        if not self.top:
            return {"image": str(self.path), "top": [], "note": NO_INK}
        return {"image": str(self.path), "top": [{"label": name, "probability": share} for name, share in self.top]}


def predictions_page(answers: Sequence[Answer], run: str) -> str:
    """The page as HTML: each picture, what the network saw of it, and the likeliest classes."""
    return render(
        "predictions.html",
        run=run,
        no_ink=NO_INK,
        cards=[_card(answer) for answer in answers if answer.error is None],
        errors=[answer.error for answer in answers if answer.error is not None],
    )


def _card(answer: Answer) -> dict[str, Any]:
    assert answer.given is not None
    assert answer.seen is not None
    seen = on_white(answer.seen)
    return {
        "name": printable(answer.path.name),
        "given": data_uri(answer.given, "JPEG"),
        "given_size": answer.given.size,
        "seen": data_uri(seen),
        "seen_size": seen.size,
        "top": answer.top,
    }
