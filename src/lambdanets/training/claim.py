"""One training at a time in a folder: a lock that the kernel takes back when its process ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Within this block no other process can claim the folder, which is made if it is missing.

    Folders that were made and are still empty when the block is left are taken back.

    Raises:
        ValueError: another process trains into it, or it cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        _take_back(missing)
        raise ValueError(f"{path} cannot be written ({error.strerror}): choose another folder.") from error
    try:
        lock(
            descriptor,
            f"{path} is being trained into by another process: wait until it ends, or choose another folder.",
        )
        yield
    finally:
        os.close(descriptor)
        _take_back(missing)


def lock(descriptor: int, taken: str) -> None:
    """Lock what is open here until it is closed; so no file of the lock is left over. ValueError(taken) if it is."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(taken) from error
    except OSError:
        return  # a file system without locks, as some networks have


def _take_back(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return  # not empty, or never made
