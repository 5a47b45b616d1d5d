"""`lambdanets models`: every network, in numbers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lambdanets.cli.mistakes import mistakes_reported
from lambdanets.cli.question import WholeNumber

if TYPE_CHECKING:  # loads torch, which the other verbs may not need
    from lambdanets.models import Description


def models(*names: str, image_size: WholeNumber | None = None) -> None:
    """List the networks: parameters, multiply-adds for one image, lambda blocks.

    Example: lambdanets models resnet50_cccc resnet50_llll --image-size 224

    Args:
        names: Networks to list; by default all of them.
        image_size: Side of the image in pixels, 32 or more. By default the size each network is meant for.
    """
    from lambdanets.cli.console import plain_table, print_table
    from lambdanets.models import describe, list_models

    table = plain_table()
    table.add_column("name")
    for heading in ("input", "classes", "parameters", "multiply-adds", "lambda blocks"):
        table.add_column(heading, justify="right")
    with mistakes_reported():
        for name in names or list_models():
            row = describe(name, image_size=image_size)
            table.add_row(name, *_cells(row))
    print_table(table)


def _cells(row: "Description") -> Iterator[str]:
    """The numbers to be compared down a column, each column in one unit: millions (M) or 10⁹ (G), thousands grouped."""
    yield f"{row.in_chans}×{row.image_size}×{row.image_size}"
    yield str(row.num_classes)
    yield f"{row.parameters / 1e6:,.2f} M"
    yield f"{row.multiply_adds / 1e9:,.3f} G"
    yield str(row.lambda_blocks)
