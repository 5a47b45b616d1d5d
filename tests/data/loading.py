"""Batches that tell who made them, and makers of batches that something bad happens to."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import torch
from torch import Tensor

from lambdanets.data.loader import LoaderConfig, Request, load_batches

SIZE = 4
TWO = LoaderConfig(workers=2, timeout=20)


class Numbers(NamedTuple):
    """A batch that tells which samples it has, and who made it."""

    values: Tensor
    by: int

    def pin_memory(self) -> "Numbers":
        return Numbers(self.values + 0, self.by)


@dataclass(frozen=True)
class Make:
    """Makes batches, and does something bad at one step, once (there is a mark in the folder then) or each time."""

    trouble: str = ""
    at: int = -1
    marks: Path | None = None
    shape: tuple[int, ...] = (3,)

    def __call__(self, request: Request) -> Numbers:
        if request.step == self.at and self._strikes():
            getattr(self, self.trouble)()
        values = torch.from_numpy(request.indices * 1000 + request.epochs).float()
        return Numbers(values.reshape(-1, *[1] * len(self.shape)).expand(-1, *self.shape), os.getpid())

    def _strikes(self) -> bool:
        if self.marks is None:
            return True
        mark = self.marks / f"{self.trouble}-{self.at}"
        first = not mark.exists()
        mark.write_text("")
        return first

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self) -> None:
        os._exit(0)

    def freeze(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def sleep(self) -> None:
        time.sleep(1000)

    def dawdle(self) -> None:
        time.sleep(1.5)

    def fail(self) -> None:
        raise ValueError("no such sample: 17")

    def fail_oddly(self) -> None:
        raise OddError(1, 2)

    def starve(self) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


class OddError(Exception):
    """One that does not survive pickling."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("odd")
        self.two = two


def requests(num_steps: int, first: int = 0) -> Iterator[Request]:
    for step in range(first, num_steps):
        indices = np.arange(step * SIZE, (step + 1) * SIZE)
        yield Request(step, indices, np.full_like(indices, step % 3))


def loaded(
    make: Make, config: LoaderConfig, num_steps: int = 12, *, pin: bool = False
) -> tuple[list[Tensor], list[str]]:
    """All batches of that many steps, and what was warned of."""
    told: list[str] = []
    batches = load_batches(make, lambda first: requests(num_steps, first), 0, config, pin=pin, warn=told.append)
    return [batch.values.clone() for batch in batches], told


def assert_complete(values: list[Tensor], num_steps: int = 12) -> None:
    """Every sample of every step, once and in order."""
    wanted = [Make()(request).values for request in requests(num_steps)]
    assert len(values) == len(wanted)
    assert all(torch.equal(got, want) for got, want in zip(values, wanted, strict=True))


def no_workers_left() -> bool:
    return not [child for child in psutil.Process().children() if child.name().startswith("loader")]
