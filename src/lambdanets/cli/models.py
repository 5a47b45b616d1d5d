"""`lambdanets models`: every network, in numbers."""

from lambdanets.cli.mistakes import mistakes_reported
from lambdanets.cli.question import WholeNumber


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
    for heading in ("pixels", "parameters", "multiply-adds", "lambda blocks"):
        table.add_column(heading, justify="right")
    with mistakes_reported():
        for name in names or list_models():
            row = describe(name, image_size=image_size)
            counts = (row.image_size, in_millions(row.parameters), in_millions(row.multiply_adds), row.lambda_blocks)
            table.add_row(name, *(str(count) for count in counts))
    print_table(table)


def in_millions(count: int) -> str:
    """A large count to be compared with its neighbours: two decimals, thousands grouped."""
    return f"{count / 1e6:,.2f} M"
