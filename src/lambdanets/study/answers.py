"""What has been found out, on disk: a JSON file an answer, with where and when, so that nothing is done twice.

FOLDER/answers/PART/KEY.json      {"answer": …, "seconds": …, "stamp": …}
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from lambdanets.study.part import Answer, Part, Piece, StudyOptions
from lambdanets.study.stamp import Stamp
from lambdanets.whole_file import write_whole


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An answer, how long it took, and where and when."""

    answer: Answer
    seconds: float
    stamp: Stamp


@dataclass(frozen=True, kw_only=True)
class Drawer:
    """The answers of one part in the folder of a study."""

    path: Path

    @classmethod
    def of(cls, part: Part, options: StudyOptions) -> "Drawer":
        """The drawer of a part."""
        return cls(path=options.folder / "answers" / part.name)

    def file(self, key: str) -> Path:
        """Where the answer to the piece `key` is, or would be."""
        return self.path / f"{key}.json"

    def keep(self, key: str, kept: Kept) -> None:
        """Write an answer, whole or not at all.

        Raises:
            NotWrittenError: it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        content = json.dumps(_plain(asdict(kept)), indent=1, ensure_ascii=False, allow_nan=False)
        write_whole(self.file(key), content.encode() + b"\n")

    def read(self, key: str) -> Kept | None:
        """The kept answer; None where there is none that can be read."""
        try:
            stored = json.loads(self.file(key).read_text(encoding="utf-8"))
            stamp = Stamp(**stored["stamp"])
            return Kept(answer=dict(stored["answer"]), seconds=float(stored["seconds"]), stamp=stamp)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def why_again(self, key: str, now: Stamp) -> str | None:
        """Why what is kept of a piece cannot be used now; None where it can, or where nothing is kept."""
        if not self.file(key).exists():
            return None
        kept = self.read(key)
        return "cannot be read" if kept is None else kept.stamp.why_not_ours(now)

    def has(self, key: str, now: Stamp) -> bool:
        """Whether an answer is kept that can be used now."""
        kept = self.read(key)
        return kept is not None and kept.stamp.why_not_ours(now) is None


def _plain(value: Any) -> Any:
    """The value with None for numbers that are none, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def check_keys(part: Part, pieces: Sequence[Piece]) -> None:
    """Raise ValueError unless the keys of a part's pieces can name files, each its own."""
    keys = [piece.key for piece in pieces]
    for key in keys:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}", key):
            raise ValueError(
                f"{part.name}: got the key {key!r} for a piece, wanted letters, digits, '.', '_', '+', '-'."
            )
    if len({key.lower() for key in keys}) < len(keys):
        twice = sorted({key for key in keys if [other.lower() for other in keys].count(key.lower()) > 1})
        raise ValueError(f"{part.name}: got several pieces with the keys {', '.join(twice)}; each wants its own.")
