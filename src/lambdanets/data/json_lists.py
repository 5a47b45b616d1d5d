"""The entries of the long lists in a JSON file, one at a time, so that a file of half a gigabyte needs little memory.

COCO's annotation files are one object that holds a few lists of hundreds of thousands of entries each. Each entry comes
with its place in the file, so that it can be told to people, and read again by itself.
"""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

_CHUNK = 4 * 2**20
_MOST_BYTES = 256 * 2**20
"""An entry that is not over by then is none."""
_CUT = 64
"""What cannot be understood so many characters before the end of a chunk is wrong, not cut off."""
_SPACE = re.compile(r"[ \t\r\n]*")


class JsonError(ValueError):
    """What is no JSON of this form, and where, to be read behind the name of the file."""


class Entry(NamedTuple):
    """One entry of a list."""

    name: str
    """Of the list."""
    value: Any
    line: int
    """On which it begins, from 1."""
    begin: int
    """Its first byte in the file."""
    length: int
    """In bytes."""


def list_entries(path: Path, wanted: Collection[str]) -> Iterator[Entry]:
    """The entries of the lists of these names in the object that the file holds, in the order of the file.

    Raises:
        JsonError: the file holds something else; what came before that has been handed out.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        text = _Text(file)
        for _ in text.parts("{", "}"):
            if text.peek() != '"':
                raise JsonError(f"is not JSON: line {text.line} has {text.peek()!a} instead of a name in quotes")
            name = text.value()
            text.expect(":")
            if name in wanted:
                yield from _entries(text, name)
            else:
                text.value()
        text.expect_end()


def read_entry(content: bytes) -> Any:
    """What the bytes of one entry hold."""
    return json.loads(content)


def _entries(text: "_Text", name: str) -> Iterator[Entry]:
    for _ in text.parts("[", "]"):
        line, begin = text.line, text.place
        value = text.value()
        yield Entry(name, value, line, begin, text.place - begin)


class _Text:
    """The file as text, a chunk at a time. A character is a byte: JSON's own are, and the others stay together."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._text, self._at, self._before = "", 0, 0
        self._line, self._counted = 1, 0
        self._ended = False
        self._decoder = json.JSONDecoder()

    @property
    def place(self) -> int:
        """The number of bytes before what comes next."""
        return self._before + self._at

    @property
    def line(self) -> int:
        """Of what comes next."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def peek(self) -> str:
        """The next character that is no space."""
        if self._at < len(self._text) and self._text[self._at] > " ":
            return self._text[self._at]
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found is not None
            self._at = found.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                raise JsonError(f"ends too early, on line {self.line}")
            self._read()

    def parts(self, opening: str, closing: str) -> Iterator[None]:
        """Stops before each part of a list or object; whoever asks reads it."""
        self.expect(opening)
        while self.peek() != closing:
            yield
            if self.peek() == closing:
                break
            self.expect(",")
            if self.peek() == closing:
                raise JsonError(f"is not JSON: line {self.line} has '{closing}' behind a comma")
        self.expect(closing)

    def expect(self, character: str) -> None:
        """Go past this character; JsonError if another comes."""
        found = self.peek()
        if found != character:
            raise JsonError(f"is not JSON of COCO's form: line {self.line} has {found!a} instead of '{character}'")
        self._at += 1

    def expect_end(self) -> None:
        """JsonError if anything but white space is left."""
        while not self._ended or self._text[self._at :].strip():
            if self._text[self._at :].strip():
                raise JsonError(f"has more behind its end, on line {self.line}")
            self._at = len(self._text)
            self._read()

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if self._ended or not self._is_cut(error):
                    raise JsonError(f"is not JSON: line {self.line} cannot be understood ({_reason(error)})") from None
            else:
                if end < len(self._text) or self._ended:
                    own, self._at = self._text[self._at : end], end
                    return value if own.isascii() else self._in_unicode(own)
            self._read()

    def _is_cut(self, error: Exception) -> bool:
        """Whether what could not be understood may go on in the next chunk."""
        if not isinstance(error, json.JSONDecodeError) or len(self._text) - self._at > _MOST_BYTES:
            return False
        return error.msg.startswith("Unterminated") or len(self._text) - error.pos < _CUT

    def _in_unicode(self, own: str) -> Any:
        try:
            return json.loads(own.encode("latin-1"))
        except UnicodeDecodeError:
            raise JsonError(f"is not JSON: line {self.line} is not in UTF-8") from None

    def _read(self) -> None:
        """Forget what is over, and read on: the more, the longer what has begun is."""
        self._line, rest = self.line, self._text[self._at :]
        content = self._file.read(max(_CHUNK, len(rest)))
        self._ended = not content
        self._before += self._at
        self._text, self._at, self._counted = rest + content.decode("latin-1"), 0, 0


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else getattr(error, "msg", "a number is too long")
