"""The folder of a run: what is where in it, and how it comes to be without ever being half-made."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambdanets.whole_file import write_whole


@dataclass(frozen=True)
class RunFolder:
    """Names the files of a run."""

    path: Path

    @property
    def config(self) -> Path:
        """The whole config as JSON: enough to repeat the run."""
        return self.path / "config.json"

    @property
    def command(self) -> Path:
        """How the run was begun and continued: one line for a shell each time."""
        return self.path / "command.txt"

    @property
    def classes(self) -> Path:
        """What the classes are called, in the order of the labels: a JSON list, so that the data can be left behind."""
        return self.path / "classes.json"

    @property
    def environment(self) -> Path:
        """Versions, machine and threads."""
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        """One JSON line a step."""
        return self.path / "metrics.jsonl"

    @property
    def events(self) -> Path:
        """The same for TensorBoard; there only if it was asked for."""
        return self.path / "tensorboard"

    @property
    def skipped(self) -> Path:
        """What could not be read of the data: one line a sample."""
        return self.path / "skipped.txt"

    @property
    def memory(self) -> Path:
        """How many samples fitted into memory at once; there only if it ever ran out."""
        return self.path / "memory.json"

    @property
    def checkpoints(self) -> Path:
        """What the run resumes from."""
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        """The finished, averaged weights, as safetensors."""
        return self.path / "weights.safetensors"

    @property
    def curves(self) -> Path:
        """Loss, accuracy and learning rate as a picture."""
        return self.path / "curves.png"

    @property
    def result(self) -> Path:
        """One line of JSON; there only when the run is finished."""
        return self.path / "result.json"


_PREPARED = ("environment.json", "classes.json", "config.json")
UNFINISHED = (".writable", *_PREPARED[:2], *(f"{name}.*.tmp" for name in _PREPARED))
"""What is in a folder whose run was killed before it had begun; it may be written over."""


def create_run_folder(path: Path) -> RunFolder:
    """A new folder that can be written to, empty but for what a begin that was cut short may have left.

    Raises:
        ValueError: it holds another run or other files, or cannot be made or written. Nothing is left behind.
    """
    if (path / "config.json").exists():
        raise ValueError(f"{path} holds another run: choose another folder, or continue that run with --resume.")
    left = {entry for pattern in UNFINISHED for entry in path.glob(pattern)}
    if path.exists() and (not path.is_dir() or set(path.iterdir()) - left):
        raise ValueError(f"{path} is there already and is not an empty folder: choose another folder.")
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
        for entry in left:
            entry.unlink(missing_ok=True)
    except OSError as error:
        for folder in missing:
            if folder.exists():
                folder.rmdir()
        raise ValueError(f"{path} cannot be written ({error.strerror}): choose another folder.") from error
    return RunFolder(path)


def check_places(folder: RunFolder) -> None:
    """Raise ValueError if a folder stands where the run will write a file, or a file where it keeps its checkpoints."""
    for file in (folder.environment, folder.command, folder.metrics, folder.weights, folder.curves, folder.result):
        if file.is_dir():
            raise ValueError(f"{file} is a folder, wanted a file: move it away and resume again.")
    if folder.checkpoints.exists() and not folder.checkpoints.is_dir():
        raise ValueError(f"{folder.checkpoints} is a file, wanted a folder: move it away and resume again.")


def read_config(folder: RunFolder) -> dict[str, Any]:
    """The stored config of a run, as nested dicts.

    Raises:
        ValueError: there is none, or it cannot be read.
    """
    try:
        stored = json.loads(folder.config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder.path} is not a run: its config.json cannot be read ({error}).") from error
    if not isinstance(stored, dict):
        raise ValueError(f"{folder.path} is not a run: its config.json holds no fields.")
    if not isinstance(stored.get("recipe"), str):
        raise ValueError(f"{folder.path} is not a run of lambdanets: its config.json names no recipe.")
    return stored


def write_json(path: Path, content: Any, indent: int | None = 2) -> None:
    """Put JSON in a file so that a reader finds the old file or the whole new one, also after a crash."""
    write_whole(path, (json.dumps(content, indent=indent) + "\n").encode())
