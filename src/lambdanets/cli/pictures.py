"""How far a command is that goes through many pictures, on standard error so that the output can be piped."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_A_LINE = 30.0
"""Between two lines where there is no terminal."""

Show = Callable[[str, int, int], None]
"""Is told which pictures, how many of them are done, and how many there are."""


@contextmanager
def pictures_counted() -> Iterator[Show]:
    """A bar for each kind of pictures on a terminal, now and then a line elsewhere; both tell the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
    on_terminal = sys.stderr.isatty()
    begun: dict[str, tuple[float, int]] = {}
    told = monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not on_terminal) as bar:
        tasks = {}

        def show(kind: str, done: int, total: int) -> None:
            """How many of a kind are done."""
            nonlocal told
            now = monotonic()
            if kind not in begun:
                begun[kind] = (now, done)  # what was done before has taken no time
                tasks[kind] = bar.add_task(kind or "pictures", total=total)
            bar.update(tasks[kind], completed=done)
            if on_terminal or now - told < SECONDS_A_LINE:
                return
            told = now
            since, before = begun[kind]
            left = (now - since) / max(1, done - before) * (total - done)
            of = f"{kind}: " if kind else ""
            print(f"{of}{done:,} of {total:,} pictures, about {left:.0f} s left", file=sys.stderr, flush=True)

        yield show
