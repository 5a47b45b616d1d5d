"""What a part of the study shows: sentences, tables whose columns say where their numbers come from, and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Origin = Literal["label", "paper", "counted", "measured"]
"""label: what a row is about; paper: printed there; counted: by formula or by counting; measured: here, now."""
Cell = str | int | float | None
"""None: there is no such number, shown as a dash; a text such as "out of memory" is a result."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table."""

    name: str
    """Its heading, without its unit."""
    origin: Origin
    unit: str = ""
    """Such as "M", "ms", "images/s", "%"."""
    digits: int = 2
    """Digits behind the point of its numbers that are not whole; the CSV keeps them all."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells, each with as many cells as there are columns."""

    name: str
    """Names its CSV file: the part's name, or that and more, e.g. "memory-batch"."""
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: Sequence[str] = ()
    """Sentences below it."""

    def __post_init__(self) -> None:
        """Refuse rows that do not fit."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.name}: got a row of {len(row)} cells for {len(self.columns)} columns.")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture."""

    name: str
    """Names its PNG file."""
    title: str
    png: bytes
    """The file; colours that the colour-blind and a grey printer tell apart, with markers or dashes besides."""
    caption: str
    """What is to be seen, also for those who cannot see it."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A part, found out."""

    title: str
    summary: Sequence[str]
    """What was asked and what came out, a paragraph each, for someone who does not know the project."""
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
