"""Files that appear whole or not at all, and outlast a crash."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Put bytes in a file: whoever reads there, also after a power cut, finds the old file or the new one.

    The draft beside it, `NAME.PROCESS.tmp`, is left behind only by a process that is killed.

    Raises:
        OSError: it cannot be written; what was there before is intact.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make what was made and renamed in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
