"""`lambdanets data`: look a data set through before it is trained on, and make one to try things with."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from lambdanets.cli.mistakes import EXIT_FAILED, mistakes_reported
from lambdanets.cli.question import WholeNumber

HELP = """Look a data set through before it is trained on, or write one to try things with.

Example: lambdanets data check imagenet
"""
data = App(name="data", help=HELP, help_format="plaintext")


@data.command
def check(
    path: Path,
    /,
    *,
    split: str | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
    workers: WholeNumber | None = None,
) -> int:
    """Read every picture of a data set; name what is broken or odd, and what to do about it.

    Example: lambdanets data check imagenet --workers 8

    Ends with 1 if something has to be mended, with 0 if there are notes at most. The data itself is not changed.

    Args:
        path: Folder of class folders, of tar shards, or of a Hugging Face data set, with or without splits; or a folder
            in COCO's form.
        split: Look at this one only: train, val or test.
        json_: Print one line of JSON, with every finding, in place of the tables.
        workers: Processes that read pictures, 0 for none but this one. By default as many as there are cores, to 8.
    """
    from lambdanets.cli.data_report import describe_report
    from lambdanets.cli.pictures import pictures_counted
    from lambdanets.data.check import check_data
    from lambdanets.training.cores import usable_cores

    with mistakes_reported():
        if workers is not None and not 0 <= workers <= 256:
            raise ValueError(f"--workers: got {workers}, wanted 0 to 256.")
        with pictures_counted() as watch:
            count = min(8, usable_cores()) if workers is None else workers
            report = check_data(path, split, workers=count, watch=watch)
    if json_:
        print(json.dumps(report.as_json()))
    else:
        describe_report(report)
    return 0 if report.well else EXIT_FAILED


@data.command
def digits(
    path: Path,
    /,
    *,
    form: Literal["tree", "shards", "parquet"] = "tree",
    size: WholeNumber = 8,
) -> None:
    """Write the bundled digits as a data set of files: 1 287 to train on and, by other hands, 510 to judge by.

    Example: lambdanets data digits digits-as-files --form shards --size 32

    The files are grey PNG, which loses nothing, the same bytes in the same order in every form.

    Args:
        path: Folder to write, one that is not there or empty.
        form: Class folders (tree), tar files as webdataset names them (shards), or a Hugging Face data set (parquet).
        size: Side of the pictures in pixels, 8 to 1024; larger ones than 8 are interpolated.
    """
    from lambdanets.data.written_digits import write_digits
    from lambdanets.printable import printable

    with mistakes_reported():
        counts = write_digits(path, form, size)
    told = " and ".join(f"{count:,} in {split}" for split, count in counts.items())
    print(f"wrote {told} to {printable(path)}")
