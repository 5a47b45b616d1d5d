"""Table 4's memory column by its formulas: what layers keep for pairs of positions.

Letters: b batch, l layers, h heads, n positions, k key depth.
"""

from lambdanets.study.paper import STUDY_BATCH, STUDY_HEADS, STUDY_LAYERS, STUDY_SIDE, TABLE_4
from lambdanets.study.shown import Column, Table

BYTES = 4
"""Of a number, fp32."""
KEY_DEPTH, NUM_AXES, WINDOW = 16, 2, 49
"""k; the two attentions of axial attention; the positions of a 7 × 7 window."""


def table_4_bytes(key: str) -> int:
    """The paper's memory column by its formulas: three layers on maps of 56 × 56, a batch of 128, fp32."""
    b, n, layers, h = STUDY_BATCH, STUDY_SIDE**2, STUDY_LAYERS, STUDY_HEADS
    numbers = {
        "global": b * layers * h * n * n,
        "axial": NUM_AXES * b * layers * h * n * STUDY_SIDE,
        "local": b * layers * h * n * WINDOW,
        "lambda": layers * KEY_DEPTH * n * n,
        "lambda-k8": layers * 8 * n * n,
        "lambda-shared": KEY_DEPTH * n * n,
        "lambda-convolution": layers * KEY_DEPTH * n * WINDOW,
    }
    return BYTES * numbers[key]


def as_printed(gigabytes: float) -> str:
    """A size in GB as papers print it: three digits that count, of a hundred and more one behind the point."""
    return f"{gigabytes:.1f}" if gigabytes >= 100 else f"{gigabytes:#.3g}"


ROUNDED = [row for row in TABLE_4 if row.key in ("global", "lambda", "lambda-k8", "lambda-shared")]
"""The rows whose printed memory is what the formulas say."""


def formulas() -> Table:
    """Table 4's memory column, printed and counted."""
    rows = [
        (
            row.layer,
            row.space,
            None if row.memory is None else f"{row.memory:g}",
            as_printed(table_4_bytes(row.key) / 1e9),
            table_4_bytes(row.key),
        )
        for row in TABLE_4
    ]
    return Table(
        name="memory",
        title="Table 4, memory: what three layers on 56 × 56 positions keep for pairs of them, 128 images at once",
        columns=(
            Column(name="layer", origin="label"),
            Column(name="space", origin="paper"),
            Column(name="memory", unit="GB", origin="paper"),
            Column(name="memory", unit="GB", origin="counted"),
            Column(name="memory", unit="bytes", origin="counted"),
        ),
        rows=tuple(rows),
        notes=(
            "Space in the paper's letters: b = 128 images, l = 3 layers, h = 8 heads, n = 56² positions, m = 7² "
            "positions around each, k = 16 numbers for each pair; 4 bytes a number, 1 GB is 10⁹ bytes. It is what the "
            "layers keep for pairs of positions, not a measured total.",
            "Axial attention keeps b·l·h·n·√n twice, along columns and along rows; what else the printed 4.8 has in it "
            "is not said.",
        ),
    )
