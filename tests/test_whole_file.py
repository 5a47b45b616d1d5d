import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lambdanets.whole_file import NotWrittenError, append_line, check_writable, write_whole, writing


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    for content in (b"first, longer", b"second", b""):
        write_whole(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_alone(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "file", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def full_as_torch_tells_it(*_: object) -> None:
    try:
        full()
    finally:
        raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 550912 vs 550804")


@pytest.mark.parametrize("fail", [full, full_as_torch_tells_it])
def test_the_reason_is_told_in_a_sentence(fail: Callable[[], None]) -> None:
    with pytest.raises(NotWrittenError) as told, writing(Path("run/state.pt")):
        fail()
    assert str(told.value) == "run/state.pt could not be written: No space left on device."
    assert told.value.errno == errno.ENOSPC


def test_where_there_is_no_room_needed_and_free_bytes_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotWrittenError) as told, writing(tmp_path / "new" / "state.pt", needed=21_000_000):
        full()
    assert re.search(r"No space left on device \(21,000,000 bytes needed, [\d,]+ free\)\.$", str(told.value))
    with pytest.raises(NotWrittenError, match=r"Input/output error\.$"), writing(tmp_path / "state.pt", needed=21):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), writing(Path("file")):
        raise RuntimeError("shapes differ")


def test_lines_are_added(tmp_path: Path) -> None:
    for line in ("one", "zwölf"):
        append_line(tmp_path / "file", line)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "one\nzwölf\n"


def test_a_line_that_the_disk_takes_in_parts_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, rest: write(descriptor, rest[:2]))
    append_line(tmp_path / "file", "seven b")
    assert (tmp_path / "file").read_text() == "seven b\n"


def test_a_place_is_tried_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    check_writable(tmp_path / "file")
    check_writable(tmp_path / "new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
    with pytest.raises(NotWrittenError, match="nowhere/file could not be written: No such file or directory"):
        check_writable(tmp_path / "nowhere" / "file")


@pytest.mark.parametrize("write", [lambda path: write_whole(path, b""), lambda path: append_line(path, "")])
def test_a_name_that_is_too_long(tmp_path: Path, write: Callable[[Path], None]) -> None:
    with pytest.raises(NotWrittenError, match="could not be written: File name too long"):
        write(tmp_path / ("a" * 300))
