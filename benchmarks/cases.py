"""The problems that every table of `benchmarks/` is about; d = 256, k = 16, h = 4, u = 1 unless said."""

from dataclasses import dataclass

from lambdanets.layers import global_scope


@dataclass(frozen=True, kw_only=True)
class Case:
    """One layer on one input."""

    size: tuple[int, ...]
    """Sides of the map."""
    r: int | None
    """Side of the window; None: global."""
    b: int
    """Batch."""
    d: int = 256
    """Channels in and out."""
    k: int = 16
    h: int = 4
    u: int = 1

    @property
    def scope(self) -> tuple[int, ...]:
        """Sides of the position table."""
        return global_scope(self.size) if self.r is None else (self.r,) * len(self.size)

    @property
    def name(self) -> str:
        """A row's label."""
        window = "global" if self.r is None else f"r {self.r}"
        side, axes = self.size[0], len(self.size)
        sides = f"{side}{'¹²³'[axes - 1]}" if len(set(self.size)) == 1 else "×".join(map(str, self.size))
        extra = f" d {self.d}" * (self.d != 256) + f" u {self.u}" * (self.u != 1)
        return f"{sides} {window}{extra} b {self.b}"


CASES = (
    Case(size=(16, 16), r=None, b=8),
    Case(size=(32, 32), r=None, b=4),
    Case(size=(64, 64), r=None, b=1),
    Case(size=(32, 32), r=7, b=4),
    Case(size=(32, 32), r=23, b=4),
    Case(size=(14, 14), r=23, b=16),
    Case(size=(7, 7), r=23, d=512, b=32),
    Case(size=(56, 56), r=23, d=64, b=2),
    Case(size=(64, 64), r=23, b=2),
    Case(size=(96, 160), r=23, b=1),
    Case(size=(128, 128), r=None, d=64, b=1),
    Case(size=(16384,), r=255, d=64, b=1),
    Case(size=(16, 16, 16), r=7, d=64, b=2),
    Case(size=(32, 32), r=None, u=4, b=2),
)
