"""The tables of the study in words: cells as they are read, headings that say where numbers come from, and CSV."""

import csv
from io import StringIO

from lambdanets.study.shown import Cell, Column, Origin, Table

ORIGINS: dict[Origin, str] = {"paper": "paper", "counted": "counted", "measured": "measured here"}
"""The kinds of numbers, as they are called before readers."""
MEANINGS: dict[Origin, str] = {
    "paper": "printed in the paper, or in another one that is named. Nothing here was done to get it.",
    "counted": "follows from a formula, or from counting what the networks of this project are made of; the same on "
    "every machine.",
    "measured": "found out by running it on the machine named above; another machine will say something else.",
}
DASH = "\N{EN DASH}"


def cell_text(cell: Cell, column: Column) -> str:
    """A cell for readers: a dash for what there is not, digits as the column has them, thousands apart."""
    if cell is None:
        return DASH
    if isinstance(cell, str):
        return cell
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:,.{column.digits}f}"


def heading(column: Column) -> str:
    """Name, unit and origin of a column in one line: memory [GB] (counted)."""
    unit = f" [{column.unit}]" if column.unit else ""
    origin = f" ({ORIGINS[column.origin]})" if column.origin in ORIGINS else ""
    return f"{column.name}{unit}{origin}"


def csv_text(table: Table) -> str:
    """The table as comma-separated values, all digits kept; what there is not is empty."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([heading(column) for column in table.columns])
    for row in table.rows:
        writer.writerow(["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in row])
    return text.getvalue()


def origin_spans(table: Table) -> list[tuple[Origin, int]]:
    """Origins of neighbouring columns, each once, with how many columns they reach over."""
    spans: list[tuple[Origin, int]] = []
    for column in table.columns:
        if spans and spans[-1][0] == column.origin:
            spans[-1] = column.origin, spans[-1][1] + 1
        else:
            spans.append((column.origin, 1))
    return spans
