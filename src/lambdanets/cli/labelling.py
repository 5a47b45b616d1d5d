"""The part of `pseudo-label` between the command line and the labelling: the pool, how far it is, the summary."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lambdanets.cli.mistakes import EXIT_FAILED, report_mistake
from lambdanets.cli.pictures import pictures_counted
from lambdanets.cli.stopped import stopping_told
from lambdanets.cli.table import print_rows
from lambdanets.data.digits import POOL, DigitsConfig
from lambdanets.data.loader import LoaderError
from lambdanets.data.mixture import Part
from lambdanets.data.stored import StoredConfig
from lambdanets.finished import FinishedRun
from lambdanets.printable import printable
from lambdanets.training.labelling import Labelled, label_pool
from lambdanets.training.manifest import sum_of
from lambdanets.whole_file import check_writable

MOST_SHOWN = 20
"""Unreadable pictures that are named, and classes that are counted one by one."""


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


def label(
    run: FinishedRun, data: Path | None, journal: Path, *, views: int, batch_size: int, workers: int | None
) -> None:
    """Bring the journal to the end of the pool; shows how far it is.

    Raises:
        ValueError: there is no such pool, or the run cannot label it, or the journal is another's.
    """
    where, pool = _open_pool(run, data)
    weights = str(sum_of(run.folder.weights)["sha256"])
    teacher = {"run": str(run.folder.path.absolute()), "recipe": run.config.recipe, "model": run.config.model}
    header = {"classes": list(run.class_names), "pool": where, "teacher": teacher | {"weights_sha256": weights}}
    loader = run.config.loader if workers is None else replace(run.config.loader, workers=workers)

    def watch(done: int) -> None:
        """Pictures that are labelled by now."""
        show("", done, len(pool))

    with pictures_counted() as show:
        label_pool(run.logits, pool, journal, header, batch_size=batch_size, loader=loader, views=views, watch=watch)


@contextmanager
def what_is_kept_told(journal: Path) -> Iterator[None]:
    """Within this block a signal, or workers that are lost again and again, end the process: what is kept is told.

    The code is 1 for lost workers, which the command cannot help.
    """
    kept = f"What is labelled is in {printable(journal)}; the same command goes on from there."
    with stopping_told(lambda: kept):
        try:
            yield
        except LoaderError as error:
            report_mistake(error)
            print(f"{kept} Here loader.workers is --workers.", file=sys.stderr)
            raise SystemExit(EXIT_FAILED) from None


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
