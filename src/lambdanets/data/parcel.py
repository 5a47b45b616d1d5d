"""Values with large tensors in them, handed from one process to another without being copied through a pipe.

The bytes lie in a file without a name (memory of the kernel's, where the system has such), and what is sent is that
file's descriptor. Once it is sent the sender is not needed any more: it may die or hang. Nothing lies in /dev/shm,
which is small in containers, and nothing is left behind by a process that is killed.
"""

import errno
import io
import mmap
import os
import pickle
import socket
import struct
import tempfile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MESSAGE = struct.Struct("<QQ")
"""Where the description begins in the file, and how long the file is."""
_ALIGNMENT = 64
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EFBIG, errno.EMFILE, errno.ENFILE)


class NoRoomError(OSError):
    """This machine has no room for parcels, whatever is in them, or lets its processes have too few files."""


def send_parcel(line: socket.socket, value: Any) -> None:
    """Send a value down a line (a socket of the machine's own). Tensors must be on the CPU.

    Raises:
        NoRoomError: there is no room for it.
        OSError: nobody is at the other end.
    """
    try:
        _send(line, value)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise NoRoomError(error.errno, error.strerror) from error
        raise


def send_no_room(line: socket.socket, error: NoRoomError) -> None:
    """Let `receive_parcel` raise this at the other end; this takes no room."""
    line.sendall(_MESSAGE.pack(error.errno or 0, 0))


def receive_parcel(line: socket.socket) -> Any:
    """The next value of the line; waits for it.

    Raises:
        EOFError: the other end is closed.
        NoRoomError: it could not be sent, or received.
        OSError: the line is broken.
    """
    message, descriptors, *_ = socket.recv_fds(line, _MESSAGE.size, 1)
    if not message:
        raise EOFError("the other end of the line is closed")
    begin, end = _MESSAGE.unpack(message)
    if not descriptors:
        number = errno.EMFILE if end else begin
        raise NoRoomError(number, os.strerror(number))
    try:
        content = memoryview(mmap.mmap(descriptors[0], end))
    finally:
        os.close(descriptors[0])
    places, body = pickle.loads(content[begin:])
    return pickle.loads(body, buffers=[content[start:stop] for start, stop in places])


def nameless_file() -> int:
    """A new empty file that only its descriptor leads to: in memory where the system can, else on the disk."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("lambdanets", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _send(line: socket.socket, value: Any) -> None:
    buffers: list[pickle.PickleBuffer] = []
    body = io.BytesIO()
    _Packer(body, protocol=5, buffer_callback=buffers.append).dump(value)
    descriptor = nameless_file()
    try:
        with open(descriptor, "wb", closefd=False) as file:
            places = [_append(file, buffer.raw()) for buffer in buffers]
            begin = file.tell()
            file.write(pickle.dumps((places, body.getvalue())))
            end = file.tell()
        socket.send_fds(line, [_MESSAGE.pack(begin, end)], [descriptor])
    finally:
        os.close(descriptor)


class _Packer(pickle.Pickler):
    """Leaves the numbers of tensors where they are, as pickle does for arrays."""

    def reducer_override(self, obj: Any) -> Any:
        """How a tensor is made again; everything else in pickle's own way."""
        if type(obj) is not Tensor:
            return NotImplemented
        numbers = obj.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
        return _tensor, (numbers, obj.dtype, tuple(obj.shape))


def _tensor(numbers: NDArray[np.uint8], dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(numbers).view(dtype).reshape(shape)


def _append(file: io.BufferedWriter, content: memoryview) -> tuple[int, int]:
    """Write at the next aligned place; (first byte, the one behind the last)."""
    file.write(bytes(-file.tell() % _ALIGNMENT))
    start = file.tell()
    file.write(content)
    return start, start + len(content)
