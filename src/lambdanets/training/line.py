"""Lines of text between two processes: sent at once or not at all, and read without waiting."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress

HELLO_SECONDS = 60.0
"""How long a process may take to call, and to say who it is."""
LOOPBACK = "127.0.0.1"
"""The address of this machine that no other machine can reach."""
_HELLO = "hello"


class Line:
    """Lines of text over a socket, never waited for."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.missed = 0
        self.ended = False
        self._rest = b""

    def send(self, text: str) -> None:
        """Into the void if nobody reads there any more."""
        with suppress(OSError):
            self.socket.send(text.encode() + b"\n", socket.MSG_DONTWAIT)

    def read(self) -> Iterator[tuple[str, str]]:
        """What has come, as (word, the rest of its line); sets `ended` where nothing can come any more."""
        try:
            content = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        self.ended = not content
        self.missed = 0
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            word, _, rest = line.decode(errors="replace").partition(" ")
            yield word, rest

    def greeting(self, secret: str) -> int | None:
        """The rank of whoever called, or None if it does not know the secret."""
        self.socket.settimeout(HELLO_SECONDS)
        with suppress(ValueError):
            for word, rest in self.read():
                said, rank = rest.split(" ")
                if word == _HELLO and secrets.compare_digest(said, secret):
                    self.socket.setblocking(False)
                    return int(rank)
        return None

    def close(self) -> None:
        """May be called again."""
        self.socket.close()


def listen(address: str) -> socket.socket:
    """A door at a free port: of this machine only if the address is, else of all its addresses."""
    if address == LOOPBACK:
        return socket.create_server((address, 0))
    both = socket.has_dualstack_ipv6()
    return socket.create_server(("", 0), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both)


def call(address: str, port: int, secret: str, rank: int) -> Line:
    """The line to whoever listens there, which knows the secret.

    Raises:
        ConnectionError: nobody can be reached there.
    """
    try:
        connected = socket.create_connection((address, port), timeout=HELLO_SECONDS)
    except OSError as error:
        raise ConnectionError(
            f"rank {rank} cannot reach the first process at {address}, port {port} ({error}): the machines of a "
            "training need free ports between them."
        ) from error
    connected.sendall(f"{_HELLO} {secret} {rank}\n".encode())
    connected.setblocking(False)
    return Line(connected)
