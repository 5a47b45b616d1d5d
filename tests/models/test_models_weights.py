"""Weights on disk: whole or not at all, tied tables once, and one clear error for what does not fit."""

import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lambdanets.models import create_model, load_weights, save_weights
from lambdanets.models.weights import untied_state


def tiny(**options):
    return create_model("lambda_tiny", num_classes=3, **options)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = tiny()
    save_weights(model, tmp_path / "model.safetensors")
    return model, tmp_path / "model.safetensors"


def assert_same_state(left, right):
    assert left.state_dict().keys() == right.state_dict().keys()
    for key, value in left.state_dict().items():
        torch.testing.assert_close(right.state_dict()[key], value, rtol=0, atol=0, msg=key)


def test_weights_and_statistics_come_back_to_the_bit(saved):
    model, path = saved
    torch.manual_seed(1)
    other = tiny()
    load_weights(other, path)
    assert_same_state(model, other)


def test_channels_last_and_trained_models_come_back_too(tmp_path):
    model = tiny().to(memory_format=torch.channels_last)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    save_weights(model, tmp_path / "w.safetensors")
    other = tiny()
    load_weights(other, tmp_path / "w.safetensors")
    assert_same_state(model, other)


def test_tied_tables_are_stored_once_and_restored_tied(tmp_path):
    path = tmp_path / "tied.safetensors"
    torch.manual_seed(0)
    model = tiny(shared_tables=True)
    save_weights(model, path)
    with safe_open(path, "pt") as file:
        stored = sum(1 for key in file.keys() if key.endswith("positions.table"))  # noqa: SIM118 - not a dict
    names = [key for key in model.state_dict() if key.endswith("positions.table")]
    tables = {id(module.positions) for module in model.modules() if hasattr(module, "positions")}
    assert stored == len(tables) < len(names)
    other = tiny(shared_tables=True)
    load_weights(other, path)
    assert_same_state(model, other)
    assert other.c2[0].mixer.positions is other.c2[1].mixer.positions


def test_a_model_that_is_not_tied_refuses_tied_weights(tmp_path):
    save_weights(tiny(shared_tables=True), tmp_path / "tied.safetensors")
    with pytest.raises(ValueError, match=r"1 tensors missing .*positions.table.*name and options it was saved with"):
        load_weights(tiny(), tmp_path / "tied.safetensors")


def test_every_misfit_is_named_in_one_error_and_the_model_is_untouched(saved):
    _, path = saved
    other = create_model("lambda_tiny", num_classes=4, dim_key=8)
    before = {key: value.clone() for key, value in other.state_dict().items()}
    with pytest.raises(ValueError, match=r"does not fit this model: \d+ tensors of another shape \(.*wanted .*, …\)"):
        load_weights(other, path)
    for key, value in before.items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=0, atol=0)


def test_missing_and_unexpected_tensors_are_named(tmp_path):
    model = tiny()
    state = untied_state(model)
    state["stray"] = torch.zeros(1)
    del state["classifier.bias"]
    save_file({key: value.detach().contiguous() for key, value in state.items()}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"missing \(classifier.bias\); 1 tensors unexpected \(stray\)"):
        load_weights(model, tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a safetensors file"),
        (b"PK\x03\x04 a pickle of old", "is not a safetensors file"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{", "is damaged or not a safetensors file"),
        ((2**33).to_bytes(8, "little") + b"{}", "is not a safetensors file"),
    ],
    ids=["empty", "pickle", "cut", "huge-header"],
)
def test_what_is_no_safetensors_file_is_one_clear_error(tmp_path, content, message):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_weights(tiny(), path)


def test_a_truncated_file_is_one_clear_error(saved):
    model, path = saved
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is damaged or not a safetensors file"):
        load_weights(model, path)


def test_no_file_and_no_folder_are_clear_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are no weights at"):
        load_weights(tiny(), tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError, match="does not exist; create it first"):
        save_weights(tiny(), tmp_path / "none" / "model.safetensors")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(saved, monkeypatch, step):
    model, path = saved
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        save_weights(model, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_saving_leaves_one_file(saved):
    _, path = saved
    assert list(path.parent.iterdir()) == [path]


def stored_with(path, name, change):
    """The weights of a tiny network at `path`, with one tensor changed."""
    state = {key: value.detach().contiguous() for key, value in untied_state(tiny()).items()}
    save_file({**state, name: change(state[name])}, path)


def test_whole_numbers_are_not_taken_for_weights(tmp_path):
    stored_with(tmp_path / "w.safetensors", "classifier.weight", lambda weight: weight.to(torch.int8))
    with pytest.raises(ValueError, match=r"1 tensors of another type \(classifier.weight is torch.int8, wanted"):
        load_weights(tiny(), tmp_path / "w.safetensors")


def test_half_precision_is_converted(tmp_path):
    stored_with(tmp_path / "w.safetensors", "classifier.weight", lambda weight: weight.half().fill_(0.5))
    model = tiny()
    load_weights(model, tmp_path / "w.safetensors")
    assert model.classifier.weight.dtype == torch.float32
    assert (model.classifier.weight == 0.5).all()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300], ids=str)
def test_weights_that_are_no_numbers_are_refused(tmp_path, number):
    stored_with(tmp_path / "w.safetensors", "classifier.bias", lambda bias: torch.full_like(bias.double(), number))
    model = tiny()
    with pytest.raises(ValueError, match=r"NaN or infinity in 1 tensors \(classifier.bias\): fetch it again"):
        load_weights(model, tmp_path / "w.safetensors")
    assert model.classifier.bias.isfinite().all()


def test_a_folder_in_place_of_the_file_is_a_clear_error(tmp_path):
    with pytest.raises(IsADirectoryError, match="it is a folder; give the name of a file"):
        save_weights(tiny(), tmp_path)


def test_a_compiled_model_is_saved_under_its_own_names_and_can_be_filled(saved, tmp_path):
    model, path = saved
    save_weights(torch.compile(model), tmp_path / "compiled.safetensors")
    assert (tmp_path / "compiled.safetensors").read_bytes() == path.read_bytes()
    other = tiny()
    load_weights(torch.compile(other), path)
    assert_same_state(model, other)


def test_a_model_without_weights_is_neither_saved_nor_filled(saved, tmp_path):
    _, path = saved
    with torch.device("meta"):
        hollow = tiny()
    with pytest.raises(ValueError, match="on the meta device"):
        save_weights(hollow, tmp_path / "hollow.safetensors")
    with pytest.raises(ValueError, match="on the meta device"):
        load_weights(hollow, path)
