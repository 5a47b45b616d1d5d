"""The names that people give to the parts of a data set, and which files belong to which part."""

import re
from collections.abc import Iterable
from pathlib import Path

from lambdanets.data.finding import DataError

SPLITS = ("train", "val", "test")
"""What the parts are called here, in this order."""
WHOLE = ""
"""Stands for the one part of a data set that is not split."""
_MEANT = {"training": "train", "validation": "val", "valid": "val", "dev": "val", "eval": "val", "testing": "test"}
ALIASES = {name: name for name in SPLITS} | _MEANT
"""Each name that is understood, in lower case, and the split it means."""


def split_meant(word: str) -> str | None:
    """The split that a name means, of whatever case; None if it means none."""
    return ALIASES.get(word.lower())


def split_wanted(word: str) -> str:
    """The split that somebody asks for; DataError for a word that means none."""
    meant = split_meant(word)
    if meant is None:
        raise DataError(f"got the split '{word}', wanted one of {', '.join(SPLITS)}.")
    return meant


def in_order(splits: Iterable[str]) -> tuple[str, ...]:
    """The splits, in the order of `SPLITS`."""
    found = set(splits)
    return tuple(name for name in SPLITS if name in found)


def split_folders(path: Path) -> dict[str, Path]:
    """The folders in a folder that are named as splits are, by split; DataError where two mean the same one."""
    found: dict[str, Path] = {}
    for folder in visible(path):
        meant = split_meant(folder.name)
        if meant is None or not folder.is_dir():
            continue
        if meant in found:
            raise DataError(f"{path} holds {found[meant].name} and {folder.name}, which both mean {meant}: keep one.")
        found[meant] = folder
    return found


def files_by_split(path: Path, suffix: str, within: Iterable[str] = ()) -> dict[str, list[Path]]:
    """The files that end in `suffix`, by split and in order of name; under `WHOLE` where their names tell no split.

    Looked at are the folder, its folders named as splits are, and the same of its folders named in `within`. A file by
    itself is one whole.

    Raises:
        DataError: some names tell a split and some do not.
    """
    if path.is_file():
        return {WHOLE: [path]} if path.name.lower().endswith(suffix) else {}
    found: dict[str, list[Path]] = {}
    for root in (path, *(path / name for name in within)):
        if not root.is_dir():
            continue
        for split, folder in split_folders(root).items():
            _gather(found, ((split, file) for file in visible(folder) if file.name.lower().endswith(suffix)))
        own = [file for file in visible(root) if file.name.lower().endswith(suffix) and file.is_file()]
        _gather(found, ((_split_in_name(file), file) for file in own))
    if WHOLE in found and len(found) > 1:
        raise DataError(
            f"{found[WHOLE][0]} does not tell its split, as other files do: wanted names such as train-000000{suffix}."
        )
    return found


def visible(folder: Path) -> list[Path]:
    """What is in a folder by name, but for what is hidden, as caches are."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}): let yourself read it.") from None


def _gather(found: dict[str, list[Path]], files: Iterable[tuple[str, Path]]) -> None:
    for split, file in files:
        found.setdefault(split, []).append(file)


def _split_in_name(file: Path) -> str:
    words = re.split(r"[^A-Za-z]+", file.name)
    return next((meant for word in words if (meant := split_meant(word)) is not None), WHOLE)
