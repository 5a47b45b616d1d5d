"""Checkpoints that survive a kill at any moment, and notice when a file has rotted.

A checkpoint is a folder `step-N` of `state.pt` and `manifest.json` (size and sha256 of the state, and of itself). It is
written under another name, flushed to the disk and then renamed, so a folder of the right name is a whole one; a file
that changed later betrays itself by its sum. The manifest also names the run, so that a checkpoint of another one is
noticed, and the score, by which the best one is found: there is no pointer that could be wrong. The state holds only
tensors, numbers, strings, lists and dicts: it is loaded with `weights_only=True`, so that a checkpoint of a stranger
runs no code.
"""

import hashlib
import os
import secrets
import shutil
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import IO, Any

import torch

from lambdanets.faults import reach
from lambdanets.training.manifest import MANIFEST, ManifestError, Sum, check_files, read_manifest, write_manifest
from lambdanets.training.snapshot import check_finite_state, num_bytes
from lambdanets.whole_file import flush_folder, writing

FORMAT = 2
STATE = "state.pt"
RUN = "run.json"
PIECE = 2**18
"""Bytes that are written at a time; between two pieces a fault can be injected."""


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """How often a run is saved, and how much of its past is kept."""

    every_steps: int = 100
    """Steps between checkpoints, 1 or more; a run is also saved when it ends or is interrupted."""
    keep: int = 2
    """Newest checkpoints that are kept, 2 or more: should the newest have rotted, the one before steps in."""
    asynchronous: bool = True
    """Whether training goes on while a copy of the state is written."""

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


def save_checkpoint(
    folder: Path, step: int, state: dict[str, Any], keep: int, *, score: float | None = None, run: str | None = None
) -> Path:
    """The path of a new, whole checkpoint in `folder`, of whose past the newest `keep` and the best stay.

    `score` is higher for better states; the first checkpoint with the highest one is the best. `run` is what
    `open_checkpoints` returned; by default it is called now. What lies after `step` is of a future that was given up
    (it had rotted, or the run was rolled back) and is removed.

    Raises:
        NotFiniteError: the state holds NaN or infinity; nothing is written.
        NotWrittenError: it cannot be written; those before are intact.
    """
    check_finite_state(state)
    known = score if score is not None and isfinite(score) else None
    checkpoint = _write_checkpoint(folder, state, step=step, score=known, run=run or open_checkpoints(folder))
    _tidy(folder, checkpoint, keep)
    return checkpoint


def open_checkpoints(folder: Path) -> str:
    """The identity of the run whose checkpoints are kept in `folder`, which is made if only it is missing.

    Raises:
        NotWrittenError: the folder that it is to be in is gone, or it cannot be written.
    """
    known = run_of(folder)
    if known is not None:
        return known
    with writing(folder):
        folder.mkdir(exist_ok=True)  # not its parents: a run whose folder is gone must not go on as if nothing were
        flush_folder(folder.parent)
    run = next((run for path in list_checkpoints(folder) if (run := _claimed_run(path))), secrets.token_hex(8))
    write_manifest(folder / RUN, {"run": run}, {})
    return run


def run_of(folder: Path) -> str | None:
    """The identity that `open_checkpoints` gave to the run; None if that is missing or damaged."""
    try:
        return str(read_manifest(folder / RUN)["run"])
    except (ManifestError, KeyError):
        return None


def _claimed_run(checkpoint: Path) -> str | None:
    try:
        return str(check_files(checkpoint / MANIFEST)["run"])
    except (ManifestError, KeyError):
        return None


def _write_checkpoint(folder: Path, state: dict[str, Any], *, step: int, score: float | None, run: str) -> Path:
    final, draft = folder / _name_of(step), folder / f"{_name_of(step)}.tmp"
    if final.exists():
        if is_sound(final) and score in (None, _score_of(final)):
            return final  # resumed here, and asked to save again before a step was taken
        _remove(final)
    shutil.rmtree(draft, ignore_errors=True)
    with writing(final, num_bytes(state)):
        try:
            says = {"format": FORMAT, "run": run, "step": step, "score": None if score is None else float(score)}
            _write_draft(draft, state, says)
            reach("save: before rename")
            os.replace(draft, final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)  # of a save that failed: it would hold the room that is missing
        reach("save: after rename")
        flush_folder(folder)
    return final


def _write_draft(draft: Path, state: dict[str, Any], says: dict[str, Any]) -> None:
    draft.mkdir()
    reach("save: open")
    with open(draft / STATE, "wb") as file:
        watched = _WatchedFile(file)
        torch.save(state, watched)  # pyright: ignore[reportArgumentType] - write and flush are all that it uses
        reach("save: before fsync")
        file.flush()
        os.fsync(file.fileno())
    reach("save: before manifest")
    write_manifest(draft / MANIFEST, says, {STATE: watched.sum()})


class _WatchedFile:
    """What torch.save writes into: summed on its way, so that a disk that takes it in wrongly is found out."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._bytes = 0

    def write(self, content: Any) -> int:
        """Write all of it; OSError if the disk does not take it."""
        whole = memoryview(content).cast("B")
        for start in range(0, len(whole), PIECE):
            piece = whole[start : start + PIECE]
            reach("save: mid-write", piece)
            self._file.write(piece)
            self._hash.update(piece)
            self._bytes += len(piece)
        return len(whole)

    def flush(self) -> None:
        """Hand everything to the system."""
        self._file.flush()

    def sum(self) -> Sum:
        """Size and sha256 of what was written."""
        return {"bytes": self._bytes, "sha256": self._hash.hexdigest()}


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
    check_checkpoint(checkpoint)
    try:
        _check_archive(checkpoint / STATE)
        state = torch.load(checkpoint / STATE, map_location="cpu", weights_only=True)
    except Exception as error:  # what the file of a stranger can raise in there nobody has counted
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{checkpoint} cannot be read: {reason}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{checkpoint} cannot be read: got {type(state)}, wanted a dict")
    return state


def _check_archive(path: Path) -> None:
    """Raise ValueError unless it is what torch.save writes: an archive that is no larger when it is unpacked."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("its content is compressed, which torch.save never does")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("its parts are larger than itself")


def is_sound(checkpoint: Path) -> bool:
    """Whether every file is the one that was written."""
    try:
        check_checkpoint(checkpoint)
    except CheckpointError:
        return False
    return True


def check_checkpoint(checkpoint: Path) -> None:
    """Raise CheckpointError unless each file is the one that was written, at this step, for this run."""
    try:
        manifest = check_files(checkpoint / MANIFEST)
    except ManifestError as error:
        raise CheckpointError(f"{checkpoint}: {error}.") from error
    if manifest.get("format") != FORMAT:
        raise CheckpointError(
            f"{checkpoint}: got checkpoint format {manifest.get('format')}, this version reads {FORMAT}."
        )
    if STATE not in manifest["files"]:
        raise CheckpointError(f"{checkpoint}: its manifest names no {STATE}.")
    if checkpoint.name.startswith("step-") and checkpoint.name != _name_of(manifest.get("step")):
        raise CheckpointError(f"{checkpoint} is not what was written: it was step {manifest.get('step')}.")
    if run_of(checkpoint.parent) not in (None, manifest.get("run")):
        raise CheckpointError(f"{checkpoint} is a checkpoint of another run.")


def _name_of(step: Any) -> str:
    return f"step-{step:08d}" if isinstance(step, int) else "no step"


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoint folders, newest first; drafts that a crash left behind are not among them."""
    found = [path for path in folder.glob("step-*") if path.suffix != ".tmp" and path.is_dir()]
    return sorted(found, key=lambda path: path.name, reverse=True)


def best_checkpoint(folder: Path) -> tuple[Path, float] | None:
    """The checkpoint with the highest score, the earliest of several, and that score; None if none has one."""
    scored = [(path, score) for path in list_checkpoints(folder) if (score := _score_of(path)) is not None]
    return max(reversed(scored), key=lambda found: found[1], default=None)


def _score_of(checkpoint: Path) -> float | None:
    """The score that its manifest names, if that can be relied on and is of this run."""
    try:
        manifest = read_manifest(checkpoint / MANIFEST)
    except ManifestError:
        return None
    score, run = manifest.get("score"), run_of(checkpoint.parent)
    return float(score) if isinstance(score, int | float) and run in (None, manifest.get("run")) else None


def remove_drafts(folder: Path) -> None:
    """Clear away what a crash in the middle of a save left behind."""
    for draft in folder.glob("*.tmp"):
        if draft.is_dir() and not draft.is_symlink():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            with suppress(OSError):
                draft.unlink()


def _tidy(folder: Path, newest: Path, keep: int) -> None:
    """Remove what is neither among the newest `keep` up to `newest` nor the best; what cannot be removed stays."""
    past = [path for path in list_checkpoints(folder) if path.name <= newest.name]
    best = best_checkpoint(folder)
    kept = {newest, *past[:keep], best and best[0]}
    for old in list_checkpoints(folder):
        if old not in kept or old.name > newest.name:
            with suppress(OSError):
                _remove(old)


def _remove(checkpoint: Path) -> None:
    """Remove a whole checkpoint so that a crash meanwhile leaves a draft, not a checkpoint with files missing."""
    doomed = checkpoint.with_name(checkpoint.name + ".old.tmp")
    shutil.rmtree(doomed, ignore_errors=True)
    os.replace(checkpoint, doomed)
    shutil.rmtree(doomed, ignore_errors=True)
