"""`tune` finds out first whether its file can be written; what it measures is tests/ops' matter."""

from pathlib import Path

import pytest

from lambdanets.cli import main


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    def measure(*_: object) -> None:
        pytest.fail("measured")

    monkeypatch.setattr(Path, "touch", refuse)
    monkeypatch.setattr("lambdanets.ops.tuning.calibrate", measure)
    with pytest.raises(SystemExit) as ended:
        main(["tune", "--out", str(tmp_path / "profile.json")])
    assert ended.value.code == 2
    assert "profile.json could not be written: Permission denied." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_not_there_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        main(["tune", "--out", str(tmp_path / "profile.json"), "--device", "cuda"])
    assert ended.value.code == 2
    assert "--device cuda: PyTorch finds no GPU here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
