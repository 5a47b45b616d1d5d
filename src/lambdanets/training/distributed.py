"""Several processes that train one network: who they are, what they add up, how they agree.

Started by torchrun, each process is a rank with its own share of every batch. The recipe knows only the whole batch:
rank r of W takes its positions r, r + W, r + 2 W, …, so that another number of ranks changes no arithmetic but the
order of a sum. This is the only file of the package, but for the CLI, that reads environment variables.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore, TCPStore  # pyright: ignore[reportPrivateImportUsage]
from torch.nn.parallel import DistributedDataParallel

from lambdanets.faults import become_rank, reach
from lambdanets.training.line import LOOPBACK
from lambdanets.training.watchdog import Watchdog, tell, watched

Result = TypeVar("Result")

TIMEOUT = 600.0
"""Seconds for which a process waits for the others: a checkpoint on a slow disk may take minutes to read."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among those that train together; alone by default."""

    rank: int = 0
    """Number of this process, 0 … count − 1."""
    count: int = 1
    """W, processes that train together."""
    local_rank: int = 0
    """Number of this process among those of its machine, which is that of its GPU."""
    restarts: int = 0
    """How often torchrun had to start these processes again."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device of this process where the config says `name`: each has its own GPU."""
        return f"cuda:{self.local_rank}" if name == "cuda" and self.count > 1 else name

    def sum(self, numbers: Tensor) -> Tensor:
        """The numbers of all processes, added up; the same bits on each."""
        if self.count > 1:
            reach("ranks: sum", numbers)
            dist.all_reduce(numbers)
        return numbers

    def any(self, here: bool) -> bool:
        """Whether it is so on any process."""
        return here if self.count == 1 else self.sum(torch.tensor(float(here))).item() > 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model as the loop calls it: with the gradients of all processes averaged where there are several."""
        if self.count == 1:
            return model
        on_gpu = next(model.parameters()).is_cuda
        devices = [self.local_rank] if on_gpu else None
        wrapped = DistributedDataParallel(model, device_ids=devices)
        if not on_gpu:
            wrapped.register_comm_hook(None, _average_in_rank_order)
        return wrapped

    def share(self, tensors: list[Tensor]) -> None:
        """Give every process the first one's values, in place."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def gathered(self, mine: Result) -> list[Result]:
        """Every process's own value, by rank; it must be small, and something that can be pickled."""
        return [mine] if self.count == 1 else _gathered(mine, self.count)

    def from_first(self, make: Callable[[], Result]) -> Result:
        """What `make` returns on the first process, on every process.

        What it raises there ends the others without a word: the first one says what is wrong.
        """
        if self.count == 1:
            return make()
        told: list[Any] = [None]
        try:
            told = [make()] if self.is_first else told
        except BaseException:
            dist.broadcast_object_list([_FAILED], 0)
            raise
        dist.broadcast_object_list(told, 0)
        if told[0] == _FAILED:
            raise SystemExit(_EXIT_WITH_FIRST)
        return told[0]


_FAILED = "the first process failed"
_EXIT_WITH_FIRST = 2

ALONE = Ranks()
"""A process that trains by itself."""


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Within this block the processes that torchrun started are connected; a process started otherwise is alone."""
    count, local_rank = _number("WORLD_SIZE", 1), _number("LOCAL_RANK", 0)
    restarts = _number("TORCHELASTIC_RESTART_COUNT", 0)
    if count == 1:
        yield Ranks(restarts=restarts)
        return
    if local_rank < torch.cuda.device_count():
        torch.cuda.set_device(local_rank)
    _connect(count, restarts)
    restarts = int(max(_gathered(restarts, count)))  # torchrun counts those of each machine by themselves
    ranks = Ranks(rank=dist.get_rank(), count=count, local_rank=local_rank, restarts=restarts)
    become_rank(ranks.rank)
    if ranks.is_first and restarts:
        tell(f"started again by torchrun (restart {restarts}).")
    with closing(_watchdog(ranks)) as watchdog:  # to the very end: leaving the group may hang as well
        try:
            with watched(watchdog):
                yield ranks
        finally:
            dist.destroy_process_group()


def _connect(count: int, restarts: int) -> None:
    """Make the process group that torchrun describes."""
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    timeout = timedelta(seconds=TIMEOUT)
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        dist.init_process_group(backend, timeout=timeout)
        return
    address, port = os.environ["MASTER_ADDR"], _number("MASTER_PORT", 0)
    store = TCPStore(address, port, count, is_master=False, timeout=timeout)
    if _is_one_machine(count):  # torchrun keeps one store for all starts: what lost processes left must not be read
        store = PrefixStore(f"start {restarts}", store)
    elif _number("RANK", 0) == 0:
        tell(_SHARED_STORE)
    dist.init_process_group(backend, store=store, rank=_number("RANK", 0), world_size=count, timeout=timeout)


_SHARED_STORE = (
    "on several machines torchrun restarts reliably only with TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in its environment "
    "(https://github.com/pytorch/pytorch/issues/135712): set it."
)


def _watchdog(ranks: Ranks) -> Watchdog:
    """Watches the other processes, from this moment on."""
    address = LOOPBACK if _is_one_machine(ranks.count) else os.environ["MASTER_ADDR"]
    return Watchdog(ranks.rank, address, lambda mine: _gathered(mine, ranks.count))


def _gathered(mine: Result, count: int) -> list[Result]:
    """Every process's own, by rank."""
    gathered: list[Any] = [None] * count
    dist.all_gather_object(gathered, mine)
    return gathered


def _is_one_machine(count: int) -> bool:
    return _number("LOCAL_WORLD_SIZE", 0) == count


def _average_in_rank_order(_: object, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # pyright: ignore[reportPrivateImportUsage]
    """The mean of the gradients of all processes, summed rank by rank, whatever else shares their bucket.

    A ring adds in an order that depends on the place in the bucket; and buckets are cut anew after the first step, so
    that a resumed run would round differently.
    """
    mine = bucket.buffer()
    reach("ranks: gradients", mine)
    gathered = mine.new_empty(dist.get_world_size() * mine.numel())
    work = dist.all_gather_into_tensor(gathered, mine, async_op=True)
    assert work is not None  # because it is asynchronous

    def mean(_: object) -> Tensor:
        """In place of the bucket."""
        first, *others = gathered.chunk(dist.get_world_size())
        for other in others:
            first += other
        return torch.div(first, len(others) + 1, out=mine)

    return work.get_future().then(mean)


def _number(variable: str, default: int) -> int:
    """What torchrun says; the default where it did not start this process."""
    return int(os.environ.get(variable, default))
