"""Long lists out of JSON files, entry by entry, however the file is cut into chunks."""

import json
from pathlib import Path

import pytest

from lambdanets.data import json_lists
from lambdanets.data.json_lists import JsonError, list_entries, read_entry

CONTENT = {
    "info": {"year": 2017, "nested": [[1, [2, {"a": None}]], "]}"]},
    "images": [{"id": n, "name": f'bär \\ " {n} 畫', "size": [n, -1.5e3]} for n in range(9)],
    "licenses": [],
    "annotations": [1, "two", None, [3, 4], {"five": [[0.25] * 9]}, True, float("inf")],
    "last": 12345,
}


@pytest.mark.parametrize("chunk", [1, 2, 7, 100, 4 * 2**20])
@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("indent", [None, 1])
def test_entries_come_in_order_with_their_places(
    chunk: int, escaped: bool, indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lists, "_CHUNK", chunk)
    text = json.dumps(CONTENT, ensure_ascii=escaped, indent=indent)
    file = tmp_path / "a.json"
    file.write_text(text + "\n ", encoding="utf-8")
    found = list(list_entries(file, ("annotations", "images", "licenses")))
    assert [entry.value for entry in found if entry.name == "images"] == CONTENT["images"]
    assert [entry.value for entry in found if entry.name == "annotations"] == CONTENT["annotations"]
    for entry in found:
        whole = file.read_bytes()
        assert read_entry(whole[entry.begin : entry.begin + entry.length]) == entry.value
        assert entry.line == whole[: entry.begin].count(b"\n") + 1


NONE = {
    "empty": ("", "ends too early"),
    "list": ("[]", "instead of '{'"),
    "text": ("\n\nno JSON at all", "line 3"),
    "cut-off": ('{"images": [{"id": 1}, {"id": 2', "cannot be understood"),
    "cut-off-behind": ('{"images": [{"id": 1}', "ends too early, on line 1"),
    "missing-comma": ('{"images": [\n{"id": 1}\n{"id": 2}]}', "line 3 has '{' instead of ','"),
    "trailing-comma": ('{"images": [{"id": 1},\n]}', "line 2"),
    "no-list": ('{"images": 3}', r"has '3' instead of '\['"),
    "more": ('{"images": []}\n\n{}', "more behind its end"),
    "key": ("{3: []}", "line 1"),
    "bad-number": ('{"images": [{"id": 1' + "0" * 6000 + "}]}", "cannot be understood"),
    "deep": ('{"info": ' + "[" * 200_000, "nested too deeply"),
    "quote": ('{"images": ["' + "x" * 1000, "cannot be understood"),
}


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_such_file_is_told_with_its_line(name: str, tmp_path: Path) -> None:
    text, words = NONE[name]
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(JsonError, match=words):
        list(list_entries(tmp_path / "a.json", ("images",)))


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0\0", bytes(range(256)), b'{"images": ["\xff"]}'], ids=len)
def test_bytes_that_are_no_text(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(JsonError):
        list(list_entries(tmp_path / "a.json", ("images",)))
