"""Standard output as rich writes to it: tables, and the help of odd command lines."""

from rich.console import Console
from rich.table import Table


class OutputConsole(Console):
    """A console whose broken pipe reaches `main`, like that of `print`; rich would end the process by itself."""

    def on_broken_pipe(self) -> None:
        """Let the error go on to whoever called."""
        raise BrokenPipeError


def plain_table() -> Table:
    """A table without lines, under bold headings."""
    return Table(box=None, pad_edge=False, header_style="bold")


def print_table(table: Table) -> None:
    """Print a table whose cells are taken as they stand."""
    OutputConsole(highlight=False, markup=False).print(table)
