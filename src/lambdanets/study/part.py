"""What a part of the study is: pieces of work whose answers are kept, and a pure function from them to what is shown.

A piece runs once; its answer is a file in the study's folder, so that a study that was stopped goes on where it was,
and a part whose pieces are all answered shows itself without any work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lambdanets.study.shown import Shown

Answer = Mapping[str, Any]
"""What a piece found out, as JSON keeps it: numbers, texts, lists, and dicts of these. NaN is written as None."""


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """What every part is told."""

    folder: Path
    """Where answers, tables, pictures and pages go."""
    quick: bool = False
    """Fewer and smaller pieces: all parts together take minutes. What is shown says so."""
    device: str = "cpu"
    """Where is measured and trained: cpu or cuda."""
    run: Path | None = None
    """A finished run of the reader's own for the parts that look into one; None: a short training of the digits."""
    image: Path | None = None
    """The picture that is looked at; None: one that the run was judged on."""
    full: bool = False
    """The ablations of the long-range part too, which want a GPU or a night."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Something to count, measure or train."""

    key: str
    """Names its answer within its part; says all that the answer depends on, e.g. "resnet50_llll-224-b8"."""
    seconds: float
    """About how long it takes on two cores, for the estimate of the time left."""
    work: Callable[[], Answer]
    """Does it. What it raises ends the study; what is a result, such as too little memory, it answers."""
    beside: bool = False
    """Whether it runs in a process of its own and may stand beside others; what is timed may not."""


class Part(Protocol):
    """One part of the study, by its module."""

    @property
    def name(self) -> str:
        """Its word on the command line."""
        ...

    @property
    def title(self) -> str:
        """Its heading."""
        ...

    def pieces(self, options: StudyOptions) -> Sequence[Piece]:
        """All it has to find out."""
        ...

    def shown(self, options: StudyOptions, answers: Mapping[str, Answer]) -> Shown:
        """Its tables, figures and sentences, from the answer to every piece by its key."""
        ...
