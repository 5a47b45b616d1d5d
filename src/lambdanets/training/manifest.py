"""Manifests: a JSON file beside other files that names the size and sha256 of each, and betrays its own changes too.

A disk gives back a changed bit without a word; so does a copy that was cut short. Only sums notice.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lambdanets.whole_file import write_whole

MANIFEST = "manifest.json"
"""Its name in a checkpoint."""
LARGEST = 2**20
"""Bytes that a manifest can have: it names a handful of files."""

Sum = dict[str, int | str]
"""`bytes` and `sha256` of a file."""


class ManifestError(ValueError):
    """A file that is not the one that was written, or a manifest that cannot be relied on."""


def write_manifest(path: Path, content: Mapping[str, Any], files: Mapping[str, Sum]) -> None:
    """Write the manifest of files beside `path`, with what else it should say, whole or not at all.

    Raises:
        NotWrittenError: it cannot be written.
    """
    write_whole(path, _sealed({**content, "files": dict(files)}))


def read_manifest(path: Path) -> dict[str, Any]:
    """What the manifest says; its `files` is name → sum.

    Raises:
        ManifestError: it is missing, or not to the letter what was written.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    try:
        content = json.loads(text)
        content.pop("seal")
        files = content["files"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ManifestError(f"{path} cannot be read: it is damaged or of another version") from error
    if text != _sealed(content) or not all(_is_plain_name(name) for name in files):
        raise ManifestError(f"{path} is not what was written: its own sha256 differs")
    return content


def check_files(path: Path) -> dict[str, Any]:
    """What the manifest at `path` says, after every file that it names was read and found to be the one written.

    Raises:
        ManifestError: as `read_manifest`; or a file is missing, unreadable or changed.
    """
    content = read_manifest(path)
    changed = []
    for name, written in content["files"].items():
        try:
            if sum_of(path.with_name(name)) != written:
                changed.append(name)
        except OSError as error:
            raise ManifestError(f"{name} cannot be read: {error.strerror}") from error
    if changed:
        raise ManifestError(f"{', '.join(sorted(changed))} is not what was written: size or sha256 differs")
    return content


def sum_of(path: Path) -> Sum:
    """Size and sha256 of a file; OSError if it cannot be read."""
    with open(path, "rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def sum_of_bytes(content: bytes) -> Sum:
    """Size and sha256 of what a file is going to hold."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _sealed(content: Mapping[str, Any]) -> bytes:
    """The text of a manifest: its last field is the sum of the others."""
    seal = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return (json.dumps({**content, "seal": seal}, indent=2) + "\n").encode()


def _is_plain_name(name: object) -> bool:
    """Whether it names a file beside the manifest, and no other place of the machine."""
    return isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name and "\0" not in name
