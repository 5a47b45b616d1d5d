"""The tables of a study on standard output, and what is said of answers that are found out anew."""

from collections.abc import Iterator, Sequence

from lambdanets.cli.table import print_rows
from lambdanets.study.running import Plan
from lambdanets.study.shown import Shown
from lambdanets.study.tables import cell_text, heading


def print_tables(shown: Shown) -> None:
    """Print the tables of a part; a narrow terminal loses the last columns first."""
    for table in shown.tables:
        print(f"\n{table.title}\n")
        headings = [heading(column) for column in table.columns]
        rows = [
            [cell_text(cell, column) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows
        ]
        print_rows(headings, rows, numbers=True, give_way=headings[:1:-1])
    print()


def describe_again(plans: Sequence[Plan]) -> Iterator[str]:
    """A line a part and reason on kept answers that cannot be used, and one on how to keep them."""
    told = False
    for plan in plans:
        for reason in dict.fromkeys(plan.again.values()):
            count = sum(reason == other for other in plan.again.values())
            yield f"{plan.part.name}: {count} kept answers will be found out again ({reason})."
            told = True
    if told:
        yield "To keep them, stop now and give another folder with --out."
