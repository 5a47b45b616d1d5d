"""Checkpoints that survive a kill at any moment, and notice when a file has rotted.

A checkpoint is a folder `step-N` of `state.pt` and `manifest.json` (size and sha256 of every file). It is written under
another name, flushed to the disk and then renamed, so a folder of the right name is a whole one; a file that changed
later betrays itself by its sum. The state holds only tensors, numbers, strings, lists and dicts: it is loaded with
`weights_only=True`, so that a checkpoint of a stranger runs no code.
"""

import hashlib
import json
import os
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from lambdanets.whole_file import flush_folder, writing

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """How often a run is saved, and how much of its past is kept."""

    every_steps: int = 100
    """Steps between checkpoints, 1 or more; a run is also saved when it ends or is interrupted."""
    keep: int = 2
    """Newest checkpoints that are kept, 2 or more: should the newest have rotted, the one before steps in."""

    def __post_init__(self) -> None:
        """Refuse numbers that would leave a run without a way back."""
        if self.every_steps < 1:
            raise ValueError(f"checkpoint.every_steps: got {self.every_steps}, wanted 1 or more.")
        if self.keep < 2:
            raise ValueError(
                f"checkpoint.keep: got {self.keep}, wanted 2 or more, so that a rotten one can be replaced."
            )


class CheckpointError(ValueError):
    """A checkpoint that cannot be trusted, and why."""


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """The path of a new, whole checkpoint in `folder`; older ones than the newest `keep` are removed.

    Raises:
        NotWrittenError: it cannot be written; those before are intact.
    """
    final, draft = folder / f"step-{step:08d}", folder / f"step-{step:08d}.tmp"
    if final.exists():
        if is_sound(final):
            return final  # resumed here, and asked to save again before a step was taken
        _remove(final)
    shutil.rmtree(draft, ignore_errors=True)
    with writing(final):
        try:
            _write_draft(draft, step, state)
            os.replace(draft, final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)  # of a save that failed: it would hold the room that is missing
        flush_folder(folder)
    for old in list_checkpoints(folder)[keep:]:
        _remove(old)
    return final


def _write_draft(draft: Path, step: int, state: dict[str, Any]) -> None:
    draft.mkdir(parents=True)
    with open(draft / "state.pt", "wb") as file:
        torch.save(state, file)
        _flush(file)
    manifest = {"format": FORMAT, "step": step, "files": {"state.pt": _fingerprint(draft / "state.pt")}}
    with open(draft / "manifest.json", "w") as file:
        json.dump(manifest, file)
        _flush(file)
    flush_folder(draft)


def load_newest(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """(the state of the newest checkpoint that can be trusted, or None; why newer ones could not be)."""
    complaints = []
    for checkpoint in list_checkpoints(folder):
        try:
            return load_checkpoint(checkpoint), complaints
        except CheckpointError as error:
            complaints.append(str(error))
    return None, complaints


def load_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """The state saved in this folder.

    Raises:
        CheckpointError: a file is missing, unreadable, or not the one that was written.
    """
    check_fingerprints(checkpoint)
    try:
        return torch.load(checkpoint / "state.pt", map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{checkpoint} cannot be read: {error}") from error


def is_sound(checkpoint: Path) -> bool:
    """Whether every file is the one that was written."""
    try:
        check_fingerprints(checkpoint)
    except CheckpointError:
        return False
    return True


def check_fingerprints(checkpoint: Path) -> None:
    """Raise CheckpointError unless the manifest is readable and every file has the size and sum it names."""
    try:
        manifest = json.loads((checkpoint / "manifest.json").read_text())
        written_by, files = manifest["format"], dict(manifest["files"])
        found = {name: _fingerprint(checkpoint / name) for name in files}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{checkpoint} cannot be read: {error}") from error
    if written_by != FORMAT:
        raise CheckpointError(f"{checkpoint}: got checkpoint format {written_by}, this version reads {FORMAT}.")
    changed = sorted(name for name in files if found[name] != files[name])
    if changed:
        raise CheckpointError(f"{checkpoint}: {', '.join(changed)} is not what was written: size or sha256 differs.")


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoint folders, newest first; drafts that a crash left behind are not among them."""
    found = [path for path in folder.glob("step-*") if path.suffix != ".tmp" and path.is_dir()]
    return sorted(found, key=lambda path: path.name, reverse=True)


def remove_drafts(folder: Path) -> None:
    """Clear away what a crash in the middle of a save left behind."""
    for draft in folder.glob("*.tmp"):
        shutil.rmtree(draft, ignore_errors=True)


def _fingerprint(path: Path) -> dict[str, int | str]:
    with open(path, "rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _remove(checkpoint: Path) -> None:
    """Remove a whole checkpoint so that a crash meanwhile leaves a draft, not a checkpoint with files missing."""
    if checkpoint.exists():
        doomed = checkpoint.with_name(checkpoint.name + ".old.tmp")
        shutil.rmtree(doomed, ignore_errors=True)
        os.replace(checkpoint, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _flush(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
