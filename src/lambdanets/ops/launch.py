"""A row of the launch table of the fused kernels: sizes of tiles, which change what a call takes and not its result."""

from dataclasses import dataclass
from typing import Literal, get_args

Pass = Literal["output", "query", "value", "table"]
"""The output, and the gradients of q, V and R."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One row of the table.

    Raises:
        ValueError: a pass there is not, or sizes that are not powers of two.
    """

    what: Pass
    architecture: int
    """Compute capability this row is for, and newer ones without a row: 80, 90."""
    itemsize: int
    """Bytes of a number: 2 or 4."""
    least_columns: int = 0
    """For so many columns from here on: b·v; v where a program takes one image, for the gradients of V and R."""
    columns: int
    """Of a program, each a value channel of an image."""
    rows: int
    """Of a program: positions × keys; for the gradient of V positions × u."""
    step: int
    """Products summed at a time; for the gradient of R the offsets of a program."""
    warps: int
    stages: int

    def __post_init__(self) -> None:
        if self.what not in get_args(Pass):
            raise ValueError(f"got a launch row of the pass {self.what!r}; want one of {', '.join(get_args(Pass))}")
        for name in ("columns", "rows", "step", "warps"):
            size = getattr(self, name)
            if not isinstance(size, int) or size < 1 or size & (size - 1):
                raise ValueError(f"got a launch row with {name} = {size!r}; want a power of two")
