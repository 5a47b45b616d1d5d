"""A million names in two blocks of memory, so that worker processes get them quickly and share them after a fork."""

import os
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray


class PackedTexts:
    """Texts that are not changed any more. A list of strings would be copied page by page as workers count references.

    Names of files that are no valid text survive too: they are kept as the system has them.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        parts = [os.fsencode(text) for text in texts]
        self.content: NDArray[np.uint8] = np.frombuffer(b"".join(parts), dtype=np.uint8)
        """All texts one behind the other."""
        self.ends: NDArray[np.int64] = np.cumsum([len(part) for part in parts], dtype=np.int64)
        """Where each text ends in the content."""

    @classmethod
    def of(cls, content: NDArray[np.uint8], ends: NDArray[np.int64]) -> "PackedTexts":
        """The texts of which content and ends were kept."""
        packed = cls()
        packed.content, packed.ends = content, ends
        return packed

    def __len__(self) -> int:
        """How many texts there are."""
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        """One text; a negative index counts from the end, as in a list."""
        place = range(len(self))[index]
        start = self.ends[place - 1] if place else 0
        return os.fsdecode(self.content[start : self.ends[place]].tobytes())

    def __iter__(self) -> Iterator[str]:
        """Every text in order."""
        return (self[index] for index in range(len(self)))
