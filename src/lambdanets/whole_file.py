"""Files that appear whole or not at all, outlast a crash, and say in a sentence why they could not be written."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class NotWrittenError(OSError):
    """A file that could not be written, and why; its `errno` is that of the cause.

    Where there was no room, and it is known how many bytes were `needed`, it also says how many are free.
    """

    def __init__(self, path: Path, cause: OSError, needed: int | None = None) -> None:
        super().__init__(cause.errno, cause.strerror or str(cause), str(path))
        no_room = cause.errno in (errno.ENOSPC, errno.EDQUOT) and needed is not None
        self.room = f" ({needed:,} bytes needed, {_free_bytes(path)} free)" if no_room else ""

    def __str__(self) -> str:
        """The sentence."""
        return f"{self.filename} could not be written: {self.strerror}{self.room}."


@contextmanager
def writing(path: Path, needed: int | None = None) -> Iterator[None]:
    """Within this block an OSError is told as a NotWrittenError of `path`, also one that a library made another of.

    torch.save, for one, answers a full disk with a RuntimeError about positions.
    """
    try:
        yield
    except NotWrittenError:
        raise
    except (OSError, RuntimeError) as error:
        cause = _os_error_behind(error)
        if cause is None:
            raise
        raise NotWrittenError(path, cause, needed) from error


def write_whole(path: Path, content: bytes) -> None:
    """Put bytes in a file: whoever reads there, also after a power cut, finds the old file or the new one.

    The draft beside it, `NAME.PROCESS.tmp`, is left behind only by a process that is killed.

    Raises:
        NotWrittenError: it cannot be written; what was there before is intact.
    """
    draft = _draft_of(path)
    with writing(path, len(content)):
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        flush_folder(path.parent)


def write_picture(path: Path, figure: "Figure") -> None:
    """Put a figure of matplotlib in a PNG file, as `write_whole` does and raising as it does."""
    from io import BytesIO

    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and few files are pictures

    picture = BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    write_whole(path, picture.getvalue())


def check_writable(path: Path) -> None:
    """Raise NotWrittenError unless `write_whole` could write there now; nothing is left behind."""
    draft = _draft_of(path)
    with writing(path):
        try:
            draft.touch()
        finally:
            draft.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file in one write, so that a crash or a full disk can tear no line but the last.

    Raises:
        NotWrittenError: it cannot be written, or not whole; what was there before is intact.
    """
    rest = line.encode() + b"\n"
    with writing(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            while rest:  # a disk with little room left takes a part; then the next write says why
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Make what was made and renamed in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _draft_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.tmp")


def _free_bytes(path: Path) -> str:
    """What its disk has left for us, in digits, at the nearest folder that is there."""
    try:
        return f"{shutil.disk_usage(next(folder for folder in path.absolute().parents if folder.exists())).free:,}"
    except OSError:
        return "an unknown number"


def _os_error_behind(error: BaseException | None) -> OSError | None:
    """The OSError that this error is, or that it was raised while handling."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error
