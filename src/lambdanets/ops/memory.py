"""How much memory a computation holds at once, in tensors: measured, not predicted."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def extra_bytes(call: Callable[[], object]) -> int:
    """The most bytes of new tensors alive at once during a call, beyond what it returns.

    What a library allocates inside one operation (a transform's workspace, say) is not seen.
    """
    with _Live() as live:
        result = call()
        returned = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in _tensors(result)}
    return max(0, live.peak - sum(returned.values()))


class _Live(TorchDispatchMode):
    """Notes every storage that an operation makes, for as long as it lives."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and look at what came out."""
        known = {t.untyped_storage()._cdata for t in _tensors((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        self.storages = {key: entry for key, entry in self.storages.items() if not entry[0].expired()}
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if storage._cdata not in self.storages and storage._cdata not in known:
                self.storages[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.peak = max(self.peak, sum(size for _, size in self.storages.values()))
        return result


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
