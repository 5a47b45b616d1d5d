"""Whether a run still is what was written: its checkpoints and, once it is finished, its weights, config and result."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lambdanets.training.checkpoint import CheckpointError, check_checkpoint, list_checkpoints
from lambdanets.training.folder import RunFolder, read_config
from lambdanets.training.journal import Record
from lambdanets.training.manifest import ManifestError, read_manifest, sum_of, sum_of_bytes, write_manifest
from lambdanets.whole_file import write_whole

MANIFEST = "MANIFEST.json"
"""Its name in a run: size and sha256 of what a finished run holds, and of itself."""
_AGAIN = (
    "remove result.json and give lambdanets train {recipe} --out {run} --resume, which judges the run again from its "
    "last checkpoint and writes it anew"
)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One thing that was looked at."""

    name: str
    """Its path within the run."""
    wrong: str = ""
    """What is wrong with it; empty if it is, bit for bit, what was written."""
    way_out: str = ""
    """What to do about that."""


def write_result(folder: RunFolder, result: Record) -> None:
    """Write the last files of a run: the sums of all others, then `result.json`, which makes it a finished one.

    Raises:
        NotWrittenError: one of them cannot be written.
    """
    text = (json.dumps(result) + "\n").encode()
    lasting = (folder.config, folder.classes, folder.environment, folder.metrics, folder.weights, folder.curves)
    sums = {path.name: sum_of(path) for path in lasting if path.exists()}
    write_manifest(folder.path / MANIFEST, {"format": 1}, {**sums, folder.result.name: sum_of_bytes(text)})
    write_whole(folder.result, text)


def verify_run(folder: RunFolder) -> list[Checked]:
    """What there is to verify in a run, and how it fares: checkpoints, newest first, then what a finished run holds.

    Raises:
        ValueError: the folder is no run.
    """
    if not folder.config.is_file():
        raise ValueError(f"{folder.path} is not a run: it has no config.json; give the folder of a run.")
    return [*_checkpoints(folder), *_results(folder)]


def _checkpoints(folder: RunFolder) -> Iterator[Checked]:
    for checkpoint in list_checkpoints(folder.checkpoints):
        name = str(checkpoint.relative_to(folder.path))
        try:
            check_checkpoint(checkpoint)
            yield Checked(name=name)
        except CheckpointError as error:
            if checkpoint.exists():  # a training that goes on may have removed it meanwhile
                wrong = str(error).removeprefix(f"{checkpoint}").lstrip(": ").removesuffix(".")
                yield Checked(name=name, wrong=wrong, way_out="remove it; --resume goes on from the one before")


def _results(folder: RunFolder) -> Iterator[Checked]:
    try:
        recipe = str(read_config(folder)["recipe"])
    except ValueError:
        recipe = "RECIPE"
        yield Checked(name=folder.config.name, wrong="cannot be read", way_out="put it back as it was")
    if not folder.result.exists():
        return
    again = _AGAIN.format(recipe=recipe, run=folder.path)
    try:
        sums = read_manifest(folder.path / MANIFEST)["files"]
    except ManifestError:
        missing = "is damaged" if (folder.path / MANIFEST).exists() else "is missing, so nothing tells what was written"
        yield Checked(name=MANIFEST, wrong=missing, way_out=again)
        return
    for name, written in sums.items():
        wrong = _difference(folder.path / name, written)
        if name == folder.config.name and recipe == "RECIPE":
            continue  # told above
        lasting = name in (folder.config.name, folder.classes.name, folder.environment.name, folder.metrics.name)
        yield Checked(name=name, wrong=wrong, way_out=("put it back as it was" if lasting else again) if wrong else "")


def _difference(path: Path, written: dict[str, int | str]) -> str:
    """What tells a file from the one that was written; empty if nothing does."""
    try:
        found = sum_of(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if found["bytes"] != written["bytes"]:
        return f"is not what was written: {found['bytes']:,} bytes, wanted {written['bytes']:,}"
    return "" if found == written else "is not what was written: sha256 differs"
