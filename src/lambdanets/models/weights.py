"""Weights as safetensors files: no code runs on loading, tied tables are stored once, files appear whole or not at all.

A tensor that a model holds under several names (a position table that layers share) is stored under the first, and
restored through the tie that the model has itself.
"""

import os
import struct
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lambdanets.whole_file import write_whole

MAX_HEADER_BYTES = 8 * 2**20
"""The largest network needs 1 MB; a header of millions of names would take minutes and gigabytes to parse."""
NUM_NAMED = 3
"""How many offending tensors an error names."""
COMPILED = "_orig_mod."
"""What torch.compile puts before the names of a model."""


def save_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a model's parameters and buffers to `path`; whoever reads there sees the old file or the new one.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: the model is on the meta device, so that it has no weights.
        OSError: `path` is a folder, or cannot be written; what was there before is intact.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {target}: the folder {target.parent} does not exist; create it first.")
    if target.is_dir():
        raise IsADirectoryError(
            f"cannot write {target}: it is a folder; give the name of a file in it, or move it away."
        )
    state = untied_state(model)
    _check_material(state)
    write_whole(target, save({name: tensor.detach().contiguous() for name, tensor in state.items()}))


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Fill a model with the weights at `path`; the model is untouched unless every tensor fits.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a safetensors file, its tensors are not the model's (missing, unexpected, of another
            shape or kind of number), they hold NaN or infinity, or the model is on the meta device.
    """
    source = Path(path)
    stored = read_tensors(source)
    wanted = untied_state(model)
    _check_material(wanted)
    problems = _differences(stored, wanted)
    if problems:
        raise ValueError(
            f"{source} does not fit this model: {'; '.join(problems)}. "
            "Create the model with the name and options it was saved with."
        )
    broken = [name for name, tensor in wanted.items() if not stored[name].to(tensor.dtype).isfinite().all()]
    if broken:
        raise ValueError(
            f"{source} holds NaN or infinity in {len(broken)} tensors ({_some(broken)}): "
            "fetch it again, or train again with a lower learning rate."
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(stored[name])


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name, in memory. Raises as `load_weights`."""
    if not path.is_file():
        raise FileNotFoundError(f"there are no weights at {path}; give the path of a .safetensors file.")
    with path.open("rb") as file:
        prefix = file.read(8)
    if len(prefix) < 8 or struct.unpack("<Q", prefix)[0] > MAX_HEADER_BYTES:
        raise ValueError(f"{path} is not a safetensors file of a network; give a file that save_weights wrote.")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or not a safetensors file ({error}); save or fetch it again.") from error


def untied_state(model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters and buffers by name, each once: a tied one under the first of its names.

    A compiled model has the names of the model it was compiled from.
    """
    state: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            state[name.replace(COMPILED, "")] = tensor
    return state


def _check_material(state: dict[str, Tensor]) -> None:
    """Raise ValueError if a tensor is a mere shape."""
    if any(tensor.is_meta for tensor in state.values()):
        raise ValueError("the model is on the meta device and has no weights: create it on the CPU or on a GPU.")


def _differences(stored: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    """What keeps the stored tensors from filling the wanted ones, in words."""
    missing = [name for name in wanted if name not in stored]
    unexpected = [name for name in stored if name not in wanted]
    reshaped = [
        f"{name} is {tuple(stored[name].shape)}, wanted {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in stored and stored[name].shape != tensor.shape
    ]
    retyped = [
        f"{name} is {stored[name].dtype}, wanted {tensor.dtype}"
        for name, tensor in wanted.items()
        if name in stored and _kind(stored[name]) != _kind(tensor)
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped, "of another type": retyped}
    return [f"{len(names)} tensors {what} ({_some(names)})" for what, names in found.items() if names]


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    """Numbers of one kind may be converted on loading: half to single precision, but not whole to real."""
    return tensor.is_floating_point(), tensor.is_complex()


def _some(names: list[str]) -> str:
    return ", ".join(names[:NUM_NAMED]) + (", …" if len(names) > NUM_NAMED else "")
