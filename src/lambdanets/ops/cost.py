"""What an order costs: multiply-adds and memory in the paper's letters, and the time they should take."""

from dataclasses import dataclass

GEMM_RATE = 40e9
"""Multiply-adds a second of one CPU core in a large fp32 matrix product; only ratios matter for the choice."""


@dataclass(frozen=True)
class Cost:
    """The price of one pass (forward or backward) of one order on one problem."""

    multiply_adds: int
    """Real multiply-adds."""
    extra_bytes: int
    """Peak memory beyond inputs and outputs."""
    efficiency: float
    """The share of the matrix-product rate that the order reaches, 0 to 1."""

    @property
    def seconds(self) -> float:
        """Predicted time on one core."""
        return self.multiply_adds / (GEMM_RATE * self.efficiency)
