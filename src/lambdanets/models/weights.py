"""Weights as safetensors files: no code runs on loading, tied tables are stored once, files appear whole or not at all.

A tensor that a model holds under several names (a position table that layers share) is stored under the first, and
restored through the tie that the model has itself.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from lambdanets.whole_file import write_whole

MAX_HEADER_BYTES = 8 * 2**20
"""The largest network needs 1 MB; a header of millions of names would take minutes and gigabytes to parse."""
NUM_NAMED = 3
"""How many offending tensors an error names."""
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "C64": torch.complex64, "BOOL": torch.bool,
}  # fmt: skip
"""What safetensors calls the dtypes that a network can have."""
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
    wanted = untied_state(model)
    _check_material(wanted)
    with _opened(source) as file:
        problems = _differences(_outlines(file, wanted), wanted)
        if problems:
            raise ValueError(
                f"{source} does not fit this model: {'; '.join(problems)}. "
                "Create the model with the name and options it was saved with."
            )
        stored = {name: file.get_tensor(name) for name in wanted}
    broken = [name for name, tensor in wanted.items() if not stored[name].to(tensor.dtype).isfinite().all()]
    if broken:
        raise ValueError(
            f"{source} holds NaN or infinity in {len(broken)} tensors ({_some(broken)}): "
            "fetch it again, or train again with a lower learning rate."
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(stored[name])


def stored_shape(path: str | os.PathLike[str], name: str) -> tuple[int, ...] | None:
    """The shape of one tensor of a file; None where the file has none of that name. Raises as `load_weights`."""
    with _opened(Path(path)) as file:
        return tuple(file.get_slice(name).get_shape()) if name in file.keys() else None  # noqa: SIM118 - no mapping


@contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    """A safetensors file, of which nothing but the header is read yet. Raises as `load_weights`."""
    if not path.is_file():
        raise FileNotFoundError(f"there are no weights at {path}; give the path of a .safetensors file.")
    with path.open("rb") as file:
        prefix = file.read(8)
    if len(prefix) < 8 or struct.unpack("<Q", prefix)[0] > MAX_HEADER_BYTES:
        raise ValueError(f"{path} is not a safetensors file of a network; give a file that save_weights wrote.")
    try:
        with safe_open(path, "pt") as opened:
            yield opened
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or not a safetensors file ({error}); save or fetch it again.") from error


def _outlines(file: safe_open, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Shape and dtype of the wanted tensors in a file, as far as it has them; of the others no more than the names.

    A stranger's file can name as many and as large ones as it likes: none is read before all fit.
    """
    nothing = torch.empty(0, device="meta")
    outlines = dict.fromkeys(file.keys(), nothing)
    for name in outlines.keys() & wanted.keys():
        part = file.get_slice(name)
        dtype = _DTYPES.get(part.get_dtype(), torch.bool)  # those that torch lacks are of another kind, as bool is
        outlines[name] = torch.empty(part.get_shape(), dtype=dtype, device="meta")
    return outlines


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
