"""Tables on standard output: whole rows for programs; on a terminal as many columns as it has room for."""

from collections.abc import Sequence

from rich.measure import Measurement
from rich.table import Table

from lambdanets.cli.console import OutputConsole

UNBOUNDED = 2**20
"""Columns of an output that is no terminal: no row is wrapped, so that it can be searched and cut."""


def print_rows(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = False, give_way: Sequence[str] = ()
) -> None:
    """Print rows whose first cell names what they are about; `numbers`: the other columns end at the right.

    Where a terminal is too narrow, columns are left out, those in `give_way` in that order, and then named below. The
    names are folded only where even they have no room.
    """
    console = OutputConsole(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = UNBOUNDED
    left_out: list[str] = []
    table = _table(headings, rows, numbers, left_out)
    for heading in give_way:
        if Measurement.get(console, console.options.update(width=UNBOUNDED), table).maximum <= console.width:
            break
        left_out.append(heading)
        table = _table(headings, rows, numbers, left_out)
    console.print(table)
    if left_out:
        console.print(f"(no room on this terminal for {', '.join(left_out)})")


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool, left_out: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    kept = [place for place, heading in enumerate(headings) if heading not in left_out]
    for place in kept:
        justify = "right" if numbers and place else "left"
        table.add_column(headings[place], overflow="fold", justify=justify, no_wrap=place > 0)
    for row in rows:
        table.add_row(*(row[place] for place in kept if place < len(row)))
    return table
