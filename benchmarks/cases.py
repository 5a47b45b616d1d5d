"""The problems that every table of `benchmarks/` is about; d = 256, k = 16, h = 4, u = 1 unless said."""

import math
from dataclasses import dataclass, replace

import torch

from lambdanets.layers import global_scope
from lambdanets.models.lambda_resnet import SPECS
from lambdanets.models.lambdas import LambdaOptions
from lambdanets.ops import Problem
from lambdanets.ops.choice import Described, choose
from lambdanets.ops.tuning import GPU_BATCH


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
    place: str = ""
    """Where in a network it stands."""

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
        return f"{self.place}: " * bool(self.place) + f"{sides} {window}{extra} b {self.b}"

    def problem(self, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Problem:
        """Its position part."""
        return Problem(
            b=self.b, h=self.h, k=self.k, v=self.d // self.h, u=self.u, query_size=self.size, context_size=self.size,
            scope=self.scope, content=False, dtype=dtype, device=device,
        )  # fmt: skip


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


def model_cases(name: str, *, pixels: int, batch: int, r: int = 23) -> tuple[Case, ...]:
    """The lambda layers of a LambdaResNet's c4 and c5, on the maps that most of each stage has."""
    options = LambdaOptions()
    return tuple(
        Case(
            size=(math.ceil(pixels / 2**reduction),) * 2, r=r, b=batch, d=stage.width,
            k=options.dim_key, h=options.num_heads, u=options.dim_intra, place=place,
        )
        for place, reduction, stage in zip(("c4", "c5"), (4, 5), SPECS[name].stages[2:], strict=True)
    )  # fmt: skip


_GPU_FIRST = ("32² r 23 b 64", "64² global b 16")
GPU_CASES = tuple(
    sorted(
        (
            *(replace(case, b=GPU_BATCH * case.b) for case in CASES),
            *model_cases("lambda_resnet152", pixels=224, batch=128),
        ),
        key=lambda case: _GPU_FIRST.index(case.name) if case.name in _GPU_FIRST else 8 + (not case.place),
    )
)
"""The same with 16 times the images, and the two layers of LambdaResNet-152; what matters most comes first."""


def position_products(problem: Problem, order: Described, backward: bool) -> int:
    """Multiply-adds of one pass of an order; of the fused kernels only those inside the windows."""
    p, passes = problem, 3 if backward else 1
    if order.NAME == "triton":
        return passes * (p.b * p.k * p.u * p.v * p.pairs + p.b * p.n * p.h * p.k * p.v)
    return order.cost(problem, backward).multiply_adds


def multiply_adds(case: Case, training: bool, device: str = "cpu", dtype: torch.dtype = torch.float32) -> int:
    """Multiply-adds of our layer: projections, content, and the orders taken; 3 × the projections with backward."""
    problem = case.problem(device, dtype)
    n, v = math.prod(case.size), case.d // case.h
    projections = case.b * n * case.d * (case.h * case.k + case.k * case.u + v * case.u)
    content = case.b * n * case.k * v * (case.u + case.h)
    taken = [position_products(problem, choose(problem, side), side) for side in (False, True)]
    return (projections + content) * (3 if training else 1) + sum(taken if training else taken[:1])
