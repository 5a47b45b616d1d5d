"""metrics.jsonl: what happened, one JSON line an event, readable at any moment and after any crash."""

import json
import math
from pathlib import Path

from lambdanets.whole_file import append_line, write_whole

Record = dict[str, float | int | str | None]


class Journal:
    """Appends records to a file. Each line is one write, so a crash can tear at most the last line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, record: Record) -> None:
        """One more line. Numbers that JSON does not know (NaN, infinity) are written as null."""
        known = {name: None if _unknown_to_json(value) else value for name, value in record.items()}
        append_line(self._path, json.dumps(known, allow_nan=False))

    def rewind(self, step: int) -> None:
        """Forget what was recorded after `step` steps, and a torn last line: they are about to happen again."""
        kept = [record for record in read_journal(self._path) if int(record["step"] or 0) <= step]
        write_whole(self._path, "".join(json.dumps(record) + "\n" for record in kept).encode())


def read_journal(path: Path) -> list[Record]:
    """Every whole record of the file, in order; none where there is no file. A torn last line is left out.

    Raises:
        ValueError: a line is no record.
    """
    if not path.exists():
        return []
    *whole, torn = path.read_bytes().split(b"\n")
    del torn  # what follows the last newline: empty, or a line that a crash cut
    return [_record(line, f"{path}, line {number}") for number, line in enumerate(whole, start=1)]


def _record(line: bytes, place: str) -> Record:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{place} is not JSON ({error}): remove that line.") from error
    if not isinstance(record, dict) or not isinstance(record.get("step"), int):
        raise ValueError(f"{place} is not a record with a step: remove that line.")
    return record


def _unknown_to_json(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
