"""What `data check` says at the end."""

from collections import Counter
from itertools import groupby

import numpy as np

from lambdanets.cli.table import print_rows
from lambdanets.data.check import Report, SplitReport
from lambdanets.data.finding import Finding
from lambdanets.printable import printable

MOST_SHOWN = 20
"""Findings of a kind that are shown; the rest is counted."""
HEADINGS = ("split", "images", "broken", "classes", "images a class", "width", "height", "modes")
GIVE_WAY = ("modes", "images a class", "height", "width", "classes")
"""Columns that a narrow terminal does without, in this order."""
_NONE = "–"


def describe_report(report: Report) -> None:
    """Print a row a split, then what has to be mended and what is worth a note."""
    print(f"{printable(report.path)}: {_FORMS[report.form]}\n")
    named = {"images a class": "objects a class"} if report.form == "coco" else {}
    headings, give_way = ([named.get(word, word) for word in words] for words in (HEADINGS, GIVE_WAY))
    print_rows(headings, [_cells(part) for part in report.splits], numbers=True, give_way=give_way)
    wrong = [finding for finding in report.findings if not finding.note]
    notes = [finding for finding in report.findings if finding.note]
    _print_findings("To mend:", wrong, report.left_out)
    _print_findings("Notes:", notes, report.left_out)
    if report.well:
        print("\nNothing has to be mended.")


_FORMS = {
    "tree": "pictures in folders",
    "shards": "tar shards",
    "parquet": "a Hugging Face data set",
    "coco": "pictures with objects, in COCO's form",
}


def _cells(part: SplitReport) -> tuple[str, ...]:
    modes = ", ".join(f"{mode} {count}" for mode, count in part.modes.most_common())
    classes = str(len(part.classes)) if part.classes else _NONE
    balance = _spread(list(part.classes.values())) if part.classes else _NONE
    numbers = (f"{part.images:,}", f"{part.broken:,}", classes, balance)
    return (part.split or "all", *numbers, *map(_range, (part.widths, part.heights)), modes or _NONE)


def _spread(counts: list[int]) -> str:
    return _range((min(counts), float(np.median(counts)), max(counts)))


def _range(numbers: tuple[int, float, int] | None) -> str:
    """Least, median and greatest; one number where they are the same."""
    if numbers is None:
        return _NONE
    least, median, greatest = numbers
    return str(least) if least == greatest else f"{least} / {median:g} / {greatest}"


def _print_findings(heading: str, findings: list[Finding], left_out: Counter[str]) -> None:
    if not findings:
        return
    print(f"\n{heading}")
    for kind, same in groupby(sorted(findings, key=lambda finding: finding.kind), key=lambda finding: finding.kind):
        several = list(same)
        for finding in several[:MOST_SHOWN]:
            print(f"- {finding}")
        more = len(several) - MOST_SHOWN + left_out[kind]
        if more > 0:
            print(f"- and {more:,} more of this kind ({kind}); --json lists them")
