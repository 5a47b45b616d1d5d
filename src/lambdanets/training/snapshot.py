"""A training state as plain values: copied to the CPU, measured, and looked through for numbers that are none."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

PLAIN = (int, float, bool, str, bytes, type(None))
"""What a state may hold beside tensors, lists, tuples and dicts: `weights_only` loads no more than that."""
NUM_NAMED = 3
"""How many offending tensors an error names."""


class NotFiniteError(ValueError):
    """A state that holds NaN or infinity, and so is not worth keeping."""


def snapshot(state: Any) -> Any:
    """A copy of a state in CPU memory, which training on cannot change; tensors that share memory still do.

    Raises:
        TypeError: it holds something that a checkpoint could not give back.
    """
    return _copied(state, {})


def _copied(value: Any, copies: dict[tuple[Any, ...], Tensor]) -> Any:
    if isinstance(value, Tensor):
        storage = value.untyped_storage()
        same = (storage.data_ptr(), value.storage_offset(), value.shape, value.stride(), value.dtype, value.device)
        if same not in copies:
            copies[same] = value.detach().to("cpu", copy=True)
        return copies[same]
    if isinstance(value, dict):
        return {key: _copied(item, copies) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(_copied(item, copies) for item in value)
    if type(value) not in PLAIN:  # not isinstance: numpy's float64 is a float, and is not loaded
        raise TypeError(f"a checkpoint cannot hold {type(value)}; give it as a tensor, a number or a text.")
    return value


def check_finite_state(state: Any) -> None:
    """Raise NotFiniteError, which names them, if tensors of the state hold NaN or infinity."""
    broken = [name for name, tensor in tensors_of(state) if not _is_finite(tensor)]
    if broken:
        named = ", ".join(broken[:NUM_NAMED]) + (", …" if len(broken) > NUM_NAMED else "")
        raise NotFiniteError(f"NaN or infinity in {len(broken)} tensors of the state ({named}): it is not saved.")


@torch.no_grad()
def _is_finite(tensor: Tensor) -> bool:
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    least, most = torch.aminmax(tensor)  # NaN comes through; 25 times as fast as isfinite().all()
    return bool(least.isfinite() & most.isfinite())


def num_bytes(state: Any) -> int:
    """Bytes of all tensors of a state: what its file takes, but for some kilobytes."""
    return sum(tensor.numel() * tensor.element_size() for _, tensor in tensors_of(state))


def tensors_of(state: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """(its place, such as model.stem.weight, tensor) of all tensors of a state."""
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, dict | list | tuple):
        for key, item in state.items() if isinstance(state, dict) else enumerate(state):
            yield from tensors_of(item, f"{name}.{key}" if name else str(key))
