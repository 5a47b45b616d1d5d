import json
import random
from pathlib import Path

import pytest
import torch

from lambdanets.cli import main
from lambdanets.training.checkpoint import save_checkpoint
from lambdanets.training.folder import RunFolder, write_json
from lambdanets.training.soundness import write_result


@pytest.fixture
def begun(tmp_path: Path) -> RunFolder:
    """A run with two checkpoints."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    write_json(folder.config, {"recipe": "digits"})
    for step in (1, 2):
        save_checkpoint(folder.checkpoints, step, {"step": step, "weight": torch.ones(300)}, keep=2)
    return folder


@pytest.fixture
def finished(begun: RunFolder) -> RunFolder:
    """The same run with what a finished one has."""
    begun.metrics.write_text('{"step": 1}\n')
    begun.weights.write_bytes(bytes(1000))
    write_result(begun, {"recipe": "digits", "test_accuracy": 0.98})
    return begun


def verified(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["verify", str(folder.path)])
    return code, capsys.readouterr().out


def test_a_run_that_goes_on_is_sound(begun: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verified(begun, capsys)
    assert code == 0
    assert said.count("sound") == 2
    assert "All 2 are what was written." in said


def test_a_finished_run_is_sound(finished: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verified(finished, capsys)
    assert code == 0
    assert "All 6 are what was written." in said
    assert json.loads(finished.result.read_text()) == {"recipe": "digits", "test_accuracy": 0.98}


WAYS_OUT = {
    "checkpoints/step-00000002/state.pt": "remove it; --resume goes on from the one before",
    "checkpoints/step-00000001/manifest.json": "remove it; --resume goes on from the one before",
    "weights.safetensors": "remove result.json and give lambdanets train digits --out",
    "result.json": "remove result.json and give lambdanets train digits --out",
    "MANIFEST.json": "remove result.json and give lambdanets train digits --out",
    "metrics.jsonl": "put it back as it was",
    "config.json": "put it back as it was",
}
HARMED = [(name, harm) for name in WAYS_OUT for harm in ("a flipped bit", "truncated")]
HARMED += [(name, "missing") for name in WAYS_OUT if name not in ("config.json", "result.json")]
"""Without its config.json a folder is no run, without its result.json an unfinished one."""


@pytest.mark.parametrize(("name", "harm"), HARMED)
def test_what_is_wrong_is_named_with_the_way_out(
    finished: RunFolder, capsys: pytest.CaptureFixture[str], name: str, harm: str
) -> None:
    file = finished.path / name
    sound = file.read_bytes()
    if harm == "a flipped bit":
        place = random.Random(0).randrange(len(sound))
        file.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
    elif harm == "truncated":
        file.write_bytes(sound[:-1])
    else:
        file.unlink()
    code, said = verified(finished, capsys)
    assert code == 1
    shown = name.rpartition("/")[0] if "step-" in name else name
    assert f"\n{shown}: {WAYS_OUT[name]}" in said


def test_one_line_of_json_a_thing(finished: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    finished.weights.write_bytes(b"")
    assert main(["verify", str(finished.path), "--json"]) == 1
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [finding["name"] for finding in findings if finding["wrong"]] == ["weights.safetensors"]
    assert findings[-2]["wrong"] == "is not what was written: 0 bytes, wanted 1,000"


def test_a_run_without_anything_to_verify(begun: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    empty = RunFolder(begun.path.parent / "empty")
    empty.path.mkdir()
    write_json(empty.config, {"recipe": "digits"})
    assert verified(empty, capsys) == (0, "Nothing to verify yet: no checkpoint and no result.\n")


def test_what_is_no_run_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(tmp_path)])
    assert ended.value.code == 2
    assert "is not a run: it has no config.json" in capsys.readouterr().err


def test_verifying_changes_nothing(finished: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    def names_and_times() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in finished.path.rglob("*")}

    before = names_and_times()
    verified(finished, capsys)
    assert names_and_times() == before
