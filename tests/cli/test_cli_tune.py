"""`tune` finds out first whether its file can be written; what it measures is tests/ops' matter."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lambdanets.cli import main
from lambdanets.ops.launch import Launch
from lambdanets.ops.profile import Profile, load_profile


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


@pytest.mark.parametrize(
    "words", [["--minutes", "5"], ["--device", "cuda", "--minutes", "-1"]], ids=["cpu", "negative"]
)
def test_minutes_of_searching_are_refused_where_nothing_is_searched(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["tune", "--out", str(tmp_path / "profile.json"), *words])
    assert ended.value.code == 2
    assert "wanted 0 or more, with --device cuda" in capsys.readouterr().err


FACTORS = {"dense": {"setup": (2.0, 3.0), "moved": (0.5, 0.25)}}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A GPU that is not there: what would be asked of it is answered here."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda *_: (9, 0))
    monkeypatch.setattr("torch.empty", lambda *_, device: SimpleNamespace(device=torch.device(device)))
    monkeypatch.setattr("lambdanets.ops.stopwatch.stopwatch", lambda _: None)
    calibrated = [Profile("a GPU", FACTORS, "cuda")]
    monkeypatch.setattr("lambdanets.ops.tuning.calibrate", lambda *_: calibrated)
    return monkeypatch


def test_launch_rows_that_were_found_are_in_the_profile(
    gpu: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = pytest.importorskip("lambdanets.ops.impl.triton.search")
    asked: list[float] = []

    def find(rows: tuple[Launch, ...], device: str, minutes: float, timed: object) -> Iterator[object]:
        asked.append(minutes)
        yield search.Found(replace(rows[0], stages=5), 0.5, 7)
        kept = load_profile(str(path))
        assert kept.launches == (replace(rows[0], stages=5), *rows[1:])
        assert kept.factors == FACTORS
        yield from (search.Found(row) for row in rows[1:])

    path = tmp_path / "profile.json"
    gpu.setattr(search, "search_launches", find)
    main(["tune", "--out", str(path), "--device", "cuda", "--minutes", "3"])
    rows = search.rows_of(90)
    profile = load_profile.__wrapped__(str(path))
    assert asked == [3]
    assert profile.launches == (replace(rows[0], stages=5), *rows[1:])
    assert profile.device == "cuda"
    printed = capsys.readouterr().out
    assert "× 0.50" in printed
    assert "tried 7 rows" in printed
    assert "dense          forward × 0.50 to 2.00  backward × 0.25 to 3.00" in printed


def test_without_minutes_and_without_triton_the_built_in_rows_stand(
    gpu: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu.setattr("lambdanets.ops.impl.triton.why_not", lambda _: "Triton is not installed")
    for words in ([], ["--minutes", "0"]):
        path = tmp_path / f"{len(words)}.json"
        main(["tune", "--out", str(path), "--device", "cuda", *words])
        assert load_profile(str(path)).launches == ()
        assert ("no tile sizes are searched: Triton is not installed" in capsys.readouterr().out) is (not words)


def test_a_profile_of_a_gpu_explains_nothing_on_the_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Profile("a GPU", device="cuda").save(tmp_path / "gpu.json")
    with pytest.raises(SystemExit) as ended:
        main(["explain", "--map", "8x8", "--scope", "5", "--profile", str(tmp_path / "gpu.json")])
    assert ended.value.code == 2
    assert "is of a GPU, and what is explained here is computed on the CPU" in capsys.readouterr().err
