"""The files of a study: a CSV a table, a PNG a figure, a page a part, and one page of everything.

FOLDER/NAME.csv   FOLDER/NAME.png   FOLDER/PART.html   FOLDER/study.html
"""

import base64
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from lambdanets.printable import printable
from lambdanets.report.page import render
from lambdanets.study.answers import Kept
from lambdanets.study.part import Part, StudyOptions
from lambdanets.study.shown import Figure, Shown, Table
from lambdanets.study.stamp import Stamp, stamp_now
from lambdanets.study.tables import MEANINGS, ORIGINS, cell_text, csv_text, origin_spans
from lambdanets.whole_file import write_whole

STUDY = "study.html"
"""The page of everything."""
FEW = 4
"""Columns that a narrow page has room for; of wider tables each row becomes a card there."""
LONG = 24
"""Rows that are shown at once; longer tables are folded."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A part that is found out."""

    part: Part
    shown: Shown
    kept: Mapping[str, Kept]
    """The answers that it was made of, by key."""


def write_part(finished: Finished, options: StudyOptions) -> Path:
    """Write the tables, the figures and, last, the page of a part; where the page is.

    Raises:
        NotWrittenError: one of them cannot be written.
    """
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    for table in finished.shown.tables:
        write_whole(folder / f"{table.name}.csv", csv_text(table).encode())
    for figure in finished.shown.figures:
        write_whole(folder / f"{figure.name}.png", figure.png)
    page = folder / f"{finished.part.name}.html"
    write_whole(page, _page("part.html", [finished], options).encode())
    return page


def write_study(finished: Sequence[Finished], options: StudyOptions, *, missing: Sequence[Part] = ()) -> Path:
    """Write the page of all parts, which names those still `missing`; where it is.

    Raises:
        NotWrittenError: it cannot be written.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    page = options.folder / STUDY
    write_whole(page, _page("study.html", finished, options, missing=missing).encode())
    return page


def command(part: str, options: StudyOptions) -> str:
    """What to type for a part, or for all, with these options."""
    words = ["lambdanets", "study", part]
    words += ["--quick"] if options.quick else []
    words += ["--full"] if options.full else []
    words += ["--device", options.device] if options.device != "cpu" else []
    words += ["--run", str(options.run)] if options.run is not None else []
    words += ["--image", str(options.image)] if options.image is not None else []
    return printable(shlex.join([*words, "--out", str(options.folder)]))


def _page(template: str, finished: Sequence[Finished], options: StudyOptions, *, missing: Sequence[Part] = ()) -> str:
    stamps = [kept.stamp for part in finished for kept in part.kept.values()] or [stamp_now(options)]
    return render(
        template,
        room="lambdanets.study",
        parts=[_part(part, options) for part in finished],
        missing=[part.title for part in missing],
        facts=_facts(stamps, options),
        command=command("all", options),
        origins=[(origin, word, MEANINGS[origin]) for origin, word in ORIGINS.items()],
    )


def _part(finished: Finished, options: StudyOptions) -> dict[str, Any]:
    """A part as its templates want it."""
    shown, stamps = finished.shown, [kept.stamp for kept in finished.kept.values()]
    return {
        "name": finished.part.name,
        "title": shown.title,
        "summary": shown.summary,
        "tables": [_table(table) for table in shown.tables],
        "figures": [_figure(figure) for figure in shown.figures],
        "command": command(finished.part.name, options),
        "dates": _several(stamp.date.replace("T", " ")[:16] for stamp in stamps),
        "commits": _several(stamp.commit or "unknown" for stamp in stamps),
        "took": duration(sum(kept.seconds for kept in finished.kept.values())),
        "num_pieces": len(finished.kept),
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "file": f"{table.name}.csv",
        "title": table.title,
        "notes": table.notes,
        "columns": [(column, ORIGINS.get(column.origin, "")) for column in table.columns],
        "spans": [(origin, ORIGINS.get(origin, ""), count) for origin, count in origin_spans(table)],
        "rows": [
            [
                (cell_text(cell, column), column.origin != "label")
                for cell, column in zip(row, table.columns, strict=True)
            ]
            for row in table.rows
        ],
        "is_wide": len(table.columns) > FEW,
        "is_long": len(table.rows) > LONG,
    }


def _figure(figure: Figure) -> dict[str, Any]:
    width, height = Image.open(BytesIO(figure.png)).size
    return {
        "file": f"{figure.name}.png",
        "title": figure.title,
        "caption": figure.caption,
        "uri": f"data:image/png;base64,{base64.b64encode(figure.png).decode()}",
        "width": width,
        "height": height,
    }


def _facts(stamps: Sequence[Stamp], options: StudyOptions) -> list[tuple[str, str]]:
    """Where and when, over all answers; several of a kind are all named."""
    return [
        ("machine", _several(stamp.machine for stamp in stamps)),
        ("date", _several(stamp.date[:10] for stamp in stamps)),
        ("versions", _several(f"lambdanets {s.lambdanets}, PyTorch {s.torch}, Python {s.python}" for s in stamps)),
        ("commit", _several(stamp.commit or "unknown" for stamp in stamps)),
        ("setting", "quick: fewer and smaller pieces" if options.quick else "full" if options.full else "standard"),
    ]


def _several(words: Iterable[str]) -> str:
    """Each different word once; of many the first and the last."""
    different = sorted(set(words))
    return ", ".join(different) if len(different) < 4 else f"{different[0]} … {different[-1]}"


def duration(seconds: float) -> str:
    """A time for readers."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
