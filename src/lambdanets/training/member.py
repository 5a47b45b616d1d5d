"""One of several processes that train together, as the others know it: enough to name it, and to end it."""

import os
import secrets
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Member:
    """One of the processes, as the others know it."""

    rank: int
    pid: int
    machine: str
    """The same for two processes that can send each other signals, and for no others."""
    hostname: str
    started: str
    """When, as the system counts: a process that got the same number later is another one."""
    port: int = 0
    """Where the first process listens; 0 for all others."""
    secret: str = ""
    """What others have to say first, there."""

    @classmethod
    def this_process(cls, rank: int, port: int = 0) -> "Member":
        """The process that calls."""
        pid = os.getpid()
        secret = secrets.token_hex(16) if port else ""
        return cls(rank, pid, _machine(), socket.gethostname(), _started(pid), port, secret)

    def __str__(self) -> str:
        """For people."""
        return f"rank {self.rank} (process {self.pid} on {self.hostname})"

    def end(self) -> bool:
        """SIGKILL, if it runs on this machine; whether it did."""
        if self.machine != _machine() or self.pid == os.getpid() or _started(self.pid) != self.started:
            return False
        with suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
            return True
        return False


def _machine() -> str:
    """This machine, or the container in it: process numbers mean the same only within one."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with suppress(OSError):
            parts.append(os.readlink(path) if path.endswith("pid") else Path(path).read_text().strip())
    return " ".join(parts)


def _started(pid: int) -> str:
    """When a process was started; empty where the system does not say."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""
