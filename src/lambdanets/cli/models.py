"""`lambdanets models`: every network, in numbers."""

from collections.abc import Iterator

from lambdanets.cli.counted import Row
from lambdanets.cli.mistakes import mistakes_reported
from lambdanets.cli.question import WholeNumber

HEADINGS = ("name", "input", "classes", "parameters", "multiply-adds", "lambda blocks")
GIVE_WAY = ("classes", "input", "lambda blocks", "multiply-adds")
"""Columns that a narrow terminal does without, in this order."""


def models(*names: str, image_size: WholeNumber | None = None) -> None:
    """List the networks: parameters, multiply-adds for one image, lambda blocks.

    Example: lambdanets models resnet50_cccc resnet50_llll --image-size 224

    The small networks of the detection demo, lambda_scenes and conv_scenes, are
    backbones of detectors alone: see lambdanets recipes digit_scenes.

    Args:
        names: Networks to list; by default all of them.
        image_size: Side of the image in pixels, 32 or more. By default the size each network is meant for.
    """
    from lambdanets.cli.counted import count_rows, stored_rows
    from lambdanets.cli.table import print_rows

    with mistakes_reported():
        rows = stored_rows(names) if image_size is None else None
        rows = count_rows(names, image_size) if rows is None else rows
    print_rows(HEADINGS, [tuple(_cells(row)) for row in rows], numbers=True, give_way=GIVE_WAY)


def _cells(row: Row) -> Iterator[str]:
    """The numbers to be compared down a column, each column in one unit: millions (M) or 10⁹ (G), thousands grouped."""
    yield row["name"]
    yield f"{row['in_chans']}×{row['image_size']}×{row['image_size']}"
    yield str(row["num_classes"])
    yield f"{row['parameters'] / 1e6:,.2f} M"
    yield f"{row['multiply_adds'] / 1e9:,.3f} G"
    yield str(row["lambda_blocks"])
