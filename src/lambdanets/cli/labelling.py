"""The part of `pseudo-label` between the command line and the labelling: the pool, the progress, the summary."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lambdanets.cli.table import print_rows
from lambdanets.data.digits import POOL, DigitsConfig
from lambdanets.data.mixture import Part
from lambdanets.data.stored import StoredConfig
from lambdanets.finished import FinishedRun
from lambdanets.printable import printable
from lambdanets.training.labelling import Labelled, label_pool
from lambdanets.training.manifest import sum_of
from lambdanets.whole_file import check_writable

MOST_SHOWN = 20
"""Unreadable pictures that are named, and classes that are counted one by one."""
SECONDS_A_LINE = 30.0
"""Between two lines of progress where there is no terminal."""


def journal_of(out: Path) -> Path:
    """The journal beside a file of labels.

    Raises:
        ValueError: the file could not be written, or is there already and not ours to write over.
    """
    journal = out.with_name(f"{out.name}.journal")
    if not out.parent.is_dir():
        raise ValueError(f"--out: there is no folder {out.parent}; make it first.")
    if out.is_dir() or (out.exists() and not journal.exists()):
        raise ValueError(f"--out: {out} is there already: choose another name, or remove it.")
    check_writable(out)
    return journal


def label(run: FinishedRun, data: Path | None, journal: Path, batch_size: int, workers: int | None) -> None:
    """Bring the journal to the end of the pool; shows how far it is.

    Raises:
        ValueError: there is no such pool, or the run cannot label it, or the journal is another's.
    """
    where, pool = _open_pool(run, data)
    weights = str(sum_of(run.folder.weights)["sha256"])
    teacher = {"run": str(run.folder.path.absolute()), "recipe": run.config.recipe, "model": run.config.model}
    header = {"classes": list(run.class_names), "pool": where, "teacher": teacher | {"weights_sha256": weights}}
    loader = run.config.loader if workers is None else replace(run.config.loader, workers=workers)

    with _shown(len(pool)) as watch:
        label_pool(run.logits, pool, journal, header, batch_size=batch_size, loader=loader, watch=watch)


def describe_labels(labels: Labelled, classes: tuple[str, ...], out: Path) -> None:
    """Print how many pictures have a label, why others have none, and how to go on."""
    for sentence in labels.unreadable[:MOST_SHOWN]:
        print(printable(sentence))
    if len(labels.unreadable) > MOST_SHOWN:
        print(f"and {len(labels.unreadable) - MOST_SHOWN:,} more that cannot be read, named in {printable(out)}")
    print(
        f"{labels.pictures:,} pictures: {labels.kept:,} labelled, {labels.unsure:,} below --min-confidence, "
        f"{labels.beyond:,} beyond --balance, {len(labels.unreadable):,} unreadable"
    )
    if not labels.kept:
        print("No picture kept a label: give the same command with a lower --min-confidence.")
        return
    counts = sorted(((labels.of_class[number], name) for number, name in enumerate(classes)), reverse=True)
    if len(counts) <= MOST_SHOWN:
        print_rows(["class", "labels"], [(printable(name), f"{count:,}") for count, name in counts], numbers=True)
    else:
        (most, first), (least, last) = counts[0], counts[-1]
        print(f"labels a class: from {least:,} ({printable(last)}) to {most:,} ({printable(first)})")
    print(f"labels  {printable(out)}")


def _open_pool(run: FinishedRun, data: Path | None) -> tuple[str, Part]:
    """What a student is to call the pool, and its pictures in the teacher's way of seeing."""
    config = run.config.data
    if isinstance(config, DigitsConfig):
        where = POOL if data is None else str(data)
        return where, config.load_pool(where)
    if not isinstance(config, StoredConfig):
        raise ValueError(f"{run.folder.path} is a run of '{run.config.recipe}', which labels no pictures.")
    if data is None:
        raise ValueError("no pictures were named: say where they are with --data PATH.")
    return str(data.absolute()), config.load_pool(str(data))


@contextmanager
def _shown(total: int) -> Iterator[Callable[[int], object]]:
    """A bar on standard error of a terminal, now and then a line elsewhere; both tell the time left."""
    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("pictures"), TimeRemainingColumn())
    on_terminal = sys.stderr.isatty()
    begun: list[tuple[float, int]] = []
    told = [monotonic()]
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not on_terminal) as bar:
        task = bar.add_task("", total=total)

        def watch(done: int) -> None:
            bar.update(task, completed=done)
            now = monotonic()
            begun[:] = begun or [(now, done)]
            if on_terminal or now - told[0] < SECONDS_A_LINE:
                return
            told[0] = now
            left = (now - begun[0][0]) / max(1, done - begun[0][1]) * (total - done)
            print(f"{done:,} of {total:,} pictures, about {left:.0f} s left", file=sys.stderr, flush=True)

        yield watch
