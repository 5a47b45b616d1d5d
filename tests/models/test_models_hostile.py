"""R15: what a stranger calls weights or a checkpoint runs nothing, and is refused quickly, in little memory."""

import json
import os
import pickle
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lambdanets.models import create_model, load_weights
from lambdanets.models.weights import untied_state
from lambdanets.training.checkpoint import FORMAT, CheckpointError, load_checkpoint
from lambdanets.training.manifest import sum_of, write_manifest

MAX_SECONDS = 1.0
MAX_BYTES = 200 * 2**20


class Payload:
    """Makes the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.canary),))


class Scripted(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def as_zip(path: Path, payload: Payload) -> None:
    torch.save({"model": payload}, path)


def as_legacy(path: Path, payload: Payload) -> None:
    torch.save({"model": payload}, path, _use_new_zipfile_serialization=False)


def as_bare_pickle(path: Path, payload: Payload) -> None:
    path.write_bytes(pickle.dumps(payload))


def as_legacy_tar(path: Path, payload: Payload) -> None:
    pickled = path.with_name("pickle")
    pickled.write_bytes(pickle.dumps(payload))
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            archive.add(pickled, name)


def as_archive_with(*members: str) -> Callable[[Path, Payload], None]:
    """A zip whose members of these names are all the payload."""

    def write(path: Path, payload: Payload) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for member in members:
                archive.writestr(member, pickle.dumps(payload))
            archive.writestr("archive/version", "3\n")

    return write


def as_numpy(path: Path, payload: Payload) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([payload], dtype=object), allow_pickle=True)


PICKLES = {
    "zip": as_zip,
    "legacy": as_legacy,
    "bare-pickle": as_bare_pickle,
    "legacy-tar": as_legacy_tar,
    "torchscript": as_archive_with("archive/data.pkl", "archive/constants.pkl", "archive/code/__torch__.py"),
    "pt2": as_archive_with("archive/archive_format", "archive/data/weights/w.pt", "archive/models/model.json"),
    "numpy": as_numpy,
    "npz": as_archive_with("weight.npy"),
    "metadata": lambda path, payload: path.write_bytes(pickle.dumps({"state_dict_metadata": payload})),
}


def header(content: object, tail: bytes = b"") -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + tail


def tensor(shape: list, start: int, end: int, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


MALFORMED = {
    "empty": b"",
    "seven bytes": bytes(7),
    "no header": struct.pack("<Q", 100),
    "header of 2^63": struct.pack("<Q", 2**63) + b"{}",
    "header cut": header({"w": tensor([1], 0, 4)})[:-3],
    "not JSON": header(b"{" * 40),
    "not UTF-8": header(b'{"\xff": 1}'),
    "a list": header([]),
    "deeply nested": header(b'{"w":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "no shape": header({"w": {"dtype": "F32", "data_offsets": [0, 4]}}, bytes(4)),
    "unknown dtype": header({"w": tensor([1], 0, 4, "EVIL")}, bytes(4)),
    "negative shape": header({"w": tensor([-1], 0, 4)}, bytes(4)),
    "offsets beyond the end": header({"w": tensor([2], 0, 8)}, bytes(4)),
    "offsets backwards": header({"w": tensor([1], 4, 0)}, bytes(4)),
    "overlapping": header({"v": tensor([2], 0, 8), "w": tensor([2], 4, 12)}, bytes(12)),
    "a hole": header({"v": tensor([1], 0, 4), "w": tensor([1], 8, 12)}, bytes(12)),
    "size and shape disagree": header({"w": tensor([3], 0, 4)}, bytes(4)),
    "shape of 8 EB": header({"w": tensor([2**31, 2**30], 0, 2**63)}),
    "shape that overflows": header({"w": tensor([2**40, 2**40], 0, 4)}, bytes(4)),
    "1 M tensors": header({f"t{number}": tensor([0], 0, 0) for number in range(1_000_000)}),
    "90 000 tensors": header({f"t{number}": tensor([0], 0, 0) for number in range(90_000)}),
}


def memory(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def refusal(act: Callable[[], object], kind: type[Exception]) -> str:
    """What is said when it is refused; within a second of this process's time and 200 MB."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, clock = memory("VmRSS"), time.process_time()
    with pytest.raises(kind) as told:
        act()
    assert time.process_time() - clock <= MAX_SECONDS
    assert memory("VmHWM") - before <= MAX_BYTES
    return str(told.value)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return create_model("lambda_tiny", num_classes=3)


@pytest.mark.parametrize("form", PICKLES)
@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights_that_are_code_are_refused_unread(
    model: torch.nn.Module, tmp_path: Path, form: str, suffix: str
) -> None:
    path, canary = tmp_path / f"weights.{suffix}", tmp_path / "canary"
    PICKLES[form](path, Payload(canary))
    said = refusal(lambda: load_weights(model, path), ValueError)
    assert "safetensors file" in said
    assert not canary.exists()


@pytest.mark.parametrize("form", PICKLES)
def test_a_checkpoint_that_is_code_is_refused(tmp_path: Path, form: str) -> None:
    path, canary = tmp_path / "state.pt", tmp_path / "canary"
    PICKLES[form](path, Payload(canary))
    forge(tmp_path)
    assert "cannot be read" in refusal(lambda: load_checkpoint(tmp_path), CheckpointError)
    assert not canary.exists()
    assert pickle.loads(pickle.dumps(Payload(canary))) is None
    assert canary.exists(), "the payload is a working one"


def forge(checkpoint: Path) -> None:
    """A manifest that fits, as a stranger can make one."""
    says = {"format": FORMAT, "run": "x", "step": 1, "score": None}
    write_manifest(checkpoint / "manifest.json", says, {"state.pt": sum_of(checkpoint / "state.pt")})


def test_a_checkpoint_of_distributed_form_beside_ours_is_not_looked_at(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    torch.save({"step": 1}, tmp_path / "state.pt")
    forge(tmp_path)
    (tmp_path / ".metadata").write_bytes(pickle.dumps(Payload(canary)))
    assert load_checkpoint(tmp_path) == {"step": 1}
    assert not canary.exists()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # torch is giving TorchScript up
def test_a_torchscript_archive_is_no_checkpoint(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(Scripted(), torch.zeros(1)), str(tmp_path / "state.pt"))
    forge(tmp_path)
    assert "cannot be read" in refusal(lambda: load_checkpoint(tmp_path), CheckpointError)


def test_a_checkpoint_that_grows_when_it_is_unpacked_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "state.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 * 2**20))
    forge(tmp_path)
    assert "its content is compressed" in refusal(lambda: load_checkpoint(tmp_path), CheckpointError)


@pytest.mark.parametrize("name", ["../other.pt", "/etc/passwd", "..", "", "a/b"])
def test_a_manifest_that_points_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    torch.save({"step": 1}, tmp_path / "state.pt")
    says = {"format": FORMAT, "run": "x", "step": 1}
    write_manifest(tmp_path / "manifest.json", says, {name: {"bytes": 0, "sha256": ""}})
    assert "manifest" in refusal(lambda: load_checkpoint(tmp_path), CheckpointError)


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_weights_are_refused(model: torch.nn.Module, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(MALFORMED[kind])
    said = refusal(lambda: load_weights(model, path), ValueError)
    assert str(path) in said
    assert len(said) < 600


@pytest.mark.parametrize("what", ["dtype", "shape", "names", "NaN"])
def test_weights_that_do_not_fit_leave_the_model_alone(model: torch.nn.Module, tmp_path: Path, what: str) -> None:
    from safetensors.torch import save_file

    name = "classifier.weight"
    state = {key: value.detach().clone() for key, value in untied_state(model).items()}
    if what == "names":
        state["other"] = state.pop(name)
    else:
        changed = {"dtype": state[name].to(torch.int8), "shape": state[name][:1], "NaN": state[name] * float("nan")}
        state[name] = changed[what].clone()
    save_file(state, tmp_path / "weights.safetensors")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert name in refusal(lambda: load_weights(model, tmp_path / "weights.safetensors"), ValueError)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_large_file_of_another_network_is_refused_before_it_is_read(model: torch.nn.Module, tmp_path: Path) -> None:
    path, size = tmp_path / "weights.safetensors", 8 * 2**30
    path.write_bytes(header({"classifier.weight": tensor([size // 4], 0, size)}))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + size)  # a file with a hole: it takes no room
    assert "does not fit this model" in refusal(lambda: load_weights(model, path), ValueError)
