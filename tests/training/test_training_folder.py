import json
from pathlib import Path

import pytest

from lambdanets.training.folder import RunFolder, create_run_folder, read_config, write_json


def test_a_new_folder_is_made_with_its_parents_and_left_empty(tmp_path: Path) -> None:
    folder = create_run_folder(tmp_path / "a" / "b")
    assert folder.path.is_dir()
    assert list(folder.path.iterdir()) == []


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    assert create_run_folder(tmp_path).path == tmp_path


def test_a_folder_with_a_run_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"holds another run.*--resume"):
        create_run_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("kind", ["file", "full folder"])
def test_what_is_there_already_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    if kind == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an empty folder: choose another"):
        create_run_folder(path)


def test_a_place_that_cannot_be_written_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        create_run_folder(tmp_path / "file" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_folders_made_on_the_way_are_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(ValueError, match="cannot be written \\(Permission denied\\)"):
        create_run_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_json_is_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "result.json", {"test_accuracy": 0.5}, indent=None)
    assert (tmp_path / "result.json").read_text() == '{"test_accuracy": 0.5}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    "content", [None, "{", "[]", '{"seed": 1}', b"\xff\xfe"], ids=["missing", "cut", "list", "foreign", "not text"]
)
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, content: str | bytes | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match="is not a run"):
        read_config(RunFolder(tmp_path))


def test_a_stored_config_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"recipe": "digits"})
    assert read_config(RunFolder(tmp_path)) == json.loads('{"recipe": "digits"}')
