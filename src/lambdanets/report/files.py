"""What is where in the folder of a run that has been reported."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReportFiles:
    """Names the files of a report in the folder of its run."""

    path: Path

    @property
    def page(self) -> Path:
        """Everything on one page, to be opened by a browser or sent as it is."""
        return self.path / "report.html"

    @property
    def confusion(self) -> Path:
        """True against predicted classes."""
        return self.path / "confusion.png"

    @property
    def mistakes(self) -> Path:
        """The worst mistakes."""
        return self.path / "mistakes.png"

    @property
    def predictions(self) -> Path:
        """Judged images with what was said of them."""
        return self.path / "predictions.png"
