"""The networks as they are counted by default, kept in counted.json: counting them all takes seconds.

    python -m lambdanets.cli.counted

counts them anew. A test fails where that was forgotten.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")

Row = dict[str, Any]
"""The fields of a `Description` by name."""


def stored_rows(names: Sequence[str]) -> list[Row] | None:
    """What was counted of these networks, of all of them by default; None if one is not known."""
    stored = {row["name"]: row for row in json.loads(FILE.read_text(encoding="utf-8"))}
    return [stored[name] for name in names or stored] if set(names) <= set(stored) else None


def count_rows(names: Sequence[str], image_size: int | None = None) -> list[Row]:
    """The same, counted now; by default for all networks and the images that each is meant for.

    Raises:
        ValueError: a name that is none, or images too small.
    """
    from dataclasses import asdict

    from lambdanets.models import describe, list_models  # loads torch

    return [asdict(describe(name, image_size=image_size)) for name in names or list_models()]


if __name__ == "__main__":
    rows = ",\n".join(json.dumps(row) for row in count_rows(()))
    FILE.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
