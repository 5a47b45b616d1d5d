"""Fourier transforms as matrix products: of the values and of the table, and their adjoints.

On a CPU a product of matrices of this size runs at ten times the rate of a fast Fourier transform of two axes, which
makes up for its multiply-adds below some 128 points; and any length will do.

With ω = 2π/period: V̂[f] = Σ_m V[m] e^{−iωfm} and R̂[f] = Σ_δ R[δ] e^{+iωfδ} give λ̂ = R̂ V̂, and then
λ[n] = Σ_f λ̂[f] e^{+iωfn} / period.
Complex numbers are pairs c of real ones; a product with a + ib is the block [[a, −b], [b, a]].
"""

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lambdanets.ops.impl.fourier_rows.frame import Frame, fold, unfold


class Transforms(NamedTuple):
    """The matrices of one axis: of values, of spectra of lambdas back to lambdas, and of the table."""

    analyse: Tensor
    synthesise: Tensor
    of_table: Tensor


@functools.lru_cache(maxsize=64)
def column_transforms(columns: int, side: int, period: int, dtype: torch.dtype, device: torch.device) -> Transforms:
    """Real to half-complex: (f·c, columns), (columns, f·c) and, for the table, (f·c, side)."""
    # Columns are counted from their middle, in halves
    cos, sin = _circle(range(period // 2 + 1), range(1 - columns, columns, 2), 2 * period)
    analyse = torch.stack([cos, -sin], 1).flatten(0, 1)
    weights = torch.full((period // 2 + 1, 1, 1), 2 / period, dtype=torch.float64)
    weights[0] = 1 / period
    synthesise = (torch.stack([cos, -sin], 1) * weights).flatten(0, 1).T
    of_table = torch.stack(_circle(range(period // 2 + 1), _offsets(side), period), 1).flatten(0, 1)
    return Transforms(*(m.to(device, dtype).contiguous() for m in (analyse, synthesise, of_table)))


@functools.lru_cache(maxsize=64)
def block_transforms(blocks: int, reach: int, dtype: torch.dtype, device: torch.device) -> Transforms:
    """Complex to complex: (g·c, blocks·c), (c·blocks, g·c) and, for the table, (g·c, (2·reach + 1)·c)."""
    period = blocks + reach
    cos, sin = _circle(range(period), range(blocks), period)
    analyse = _complex(cos, -sin).flatten(2).flatten(0, 1)
    synthesise = (_complex(cos.T, sin.T) / period).transpose(0, 1).flatten(2).flatten(0, 1)
    of_table = _complex(*_circle(range(period), _offsets(2 * reach + 1), period)).flatten(2).flatten(0, 1)
    return Transforms(*(m.to(device, dtype).contiguous() for m in (analyse, synthesise, of_table)))


def _circle(frequencies: range, places: range, period: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of 2π·f·x/period in float64; f·x is reduced first, as an integer."""
    turns = torch.tensor(frequencies)[:, None] * torch.tensor(places) % period
    angles = turns.double() * (2 * math.pi / period)
    return angles.cos(), angles.sin()


def _complex(real: Tensor, imaginary: Tensor) -> Tensor:
    """The (rows, c, columns, c) real blocks of a complex matrix."""
    first, second = torch.stack([real, -imaginary], -1), torch.stack([imaginary, real], -1)
    return torch.stack([first, second], 1)


def _offsets(side: int) -> range:
    return range(-(side // 2), side // 2 + 1)


def _mirrored(maps: Tensor, half: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Columns left and right of the middle of (rows, columns, …), from it outward, each with one of (rows, half, …)."""
    columns, count = maps.unbind(1), half.shape[1]
    return zip(reversed(columns[:count]), columns[-count:], half.unbind(1), strict=True)


class Spectra:
    """The transforms of one frame in one dtype."""

    def __init__(self, frame: Frame, like: Tensor) -> None:
        """Transforms for tensors of the dtype and device of `like`."""
        self.frame = frame
        sides, kind = frame.sides, (like.dtype, like.device)
        self.column = column_transforms(frame.columns, sides[2], frame.period, *kind)
        self.block = block_transforms(frame.blocks, frame.block_reach, *kind) if frame.blocks > 1 else None
        back = self.column.synthesise.view(frame.columns, -1, 2)
        self._even, self._odd = (
            back[frame.columns // 2 :, :, 0].contiguous(),
            back[-(frame.columns // 2) :, :, 1].contiguous(),
        )

    def to_columns(self, hat: Tensor, out: Tensor, spare: Tensor) -> None:
        """Write the lambdas from λ̂ (f·c, rows, …) over columns: (rows, columns, …); `spare` is for half of them."""
        hat = hat.transpose(0, 1)
        if not self.frame.is_mirrored:
            torch.bmm(self.column.synthesise.expand(len(hat), -1, -1), hat, out=out)
            return
        torch.bmm(self._even.expand(len(hat), -1, -1), hat[:, ::2], out=out[:, -self._even.shape[0] :])
        torch.bmm(self._odd.expand(len(hat), -1, -1), hat[:, 1::2], out=spare)
        for left, right, odd in _mirrored(out, spare):
            torch.sub(right, odd, out=left)
        out[:, -spare.shape[1] :] += spare

    def to_columns_back(self, gradient: Tensor, hat: Tensor, spare: Tensor) -> None:
        """Write the gradient of λ̂ from that of the lambdas, which is used up: the adjoint of `to_columns`."""
        hat = hat.transpose(0, 1)
        if not self.frame.is_mirrored:
            torch.bmm(self.column.synthesise.T.expand(len(hat), -1, -1), gradient, out=hat)
            return
        for left, right, odd in _mirrored(gradient, spare):
            torch.sub(right, left, out=odd)
            right += left
        torch.bmm(self._even.T.expand(len(hat), -1, -1), gradient[:, -self._even.shape[0] :], out=hat[:, ::2])
        torch.bmm(self._odd.T.expand(len(hat), -1, -1), spare, out=hat[:, 1::2])

    def of_values(self, value: Tensor) -> Tensor:
        """Values (images, *size, v, u) as V̂ of shape (f·g, planes, block·c·u, images·v)."""
        fr, width = self.frame, value.shape[0] * value.shape[-2]
        channels = value.movedim(-1, 0).movedim(1, -2).flatten(-2).movedim(0, -2).flatten(-2)  # (*size, u·images·v)
        x = torch.matmul(self.column.analyse, fr.lines(channels))
        x = x.view(fr.planes, fr.rows, fr.frequencies, 2, -1)
        if self.block is None:
            return x.permute(2, 0, 1, 3, 4).reshape(fr.frequencies, fr.planes, -1, width)
        x = F.pad(x, [0, 0] * 3 + [0, fr.blocks * fr.block - fr.rows])
        x = x.view(fr.planes, fr.blocks, fr.block, fr.frequencies, 2, -1)
        x = x.permute(3, 1, 4, 0, 2, 5).reshape(fr.frequencies, fr.blocks * 2, -1)
        x = torch.matmul(self.block.analyse, x).view(-1, 2, fr.planes, fr.block, x.shape[2] // (fr.planes * fr.block))
        return x.permute(0, 2, 3, 1, 4).reshape(x.shape[0], fr.planes, -1, width)

    def values_gradient(self, gradient: Tensor, value: Tensor) -> None:
        """Write the gradient of values (images, *size, v, u) from that of V̂: the adjoint of `of_values`."""
        fr = self.frame
        if self.block is None:
            x = gradient.view(fr.frequencies, fr.planes, fr.rows, 2, -1).permute(1, 2, 0, 3, 4)
        else:
            x = gradient.view(-1, fr.planes, fr.block, 2, gradient[0, 0].numel() // (fr.block * 2))
            x = x.permute(0, 3, 1, 2, 4).reshape(fr.frequencies, fr.block_frequencies * 2, -1)
            x = torch.matmul(self.block.analyse.T, x)
            x = x.view(fr.frequencies, fr.blocks, 2, fr.planes, fr.block, -1)
            x = x.permute(3, 1, 4, 0, 2, 5).flatten(1, 2)[:, : fr.rows]
        x = torch.matmul(self.column.analyse.T, x.reshape(fr.planes * fr.rows, fr.frequencies * 2, -1))
        by_channel = fr.unlines(x).unflatten(-1, (value.shape[-1], value.shape[0], value.shape[-2]))  # u images v
        value.copy_(by_channel.movedim(-2, 0).movedim(-2, -1))

    def of_table(self, cropped: Tensor) -> Tensor:
        """R̂ of the cropped (k, u, *reach) table: c, then (planes, f·g, k, window, u)."""
        fr = self.frame
        table = fr.table(cropped)
        k, u = table.shape[:2]
        x = self.column.of_table @ table.permute(4, 2, 0, 1, 3).reshape(fr.sides[2], -1)
        x = x.view(fr.frequencies, 2, fr.sides[0], k, u, fr.sides[1])
        if self.block is not None:
            x = fold(x, 5, fr.block, fr.block_reach).permute(0, 5, 1, 2, 3, 4, 6).flatten(3).flatten(1, 2).flatten(2)
            x = torch.matmul(self.block.of_table, x).view(-1, 2, fr.sides[0], k, u, fr.window)
        return x.permute(1, 2, 0, 3, 5, 4)

    def table_gradient(self, gradient: Tensor) -> Tensor:
        """The gradient of the cropped table from that of R̂: the adjoint of `of_table`."""
        fr = self.frame
        k, u = gradient.shape[3], gradient.shape[5]
        x = gradient.permute(2, 0, 1, 3, 5, 4)  # f·g, c, planes, k, u, window
        if self.block is not None:
            x = torch.matmul(self.block.of_table.T, x.reshape(fr.frequencies, fr.block_frequencies * 2, -1))
            x = x.view(fr.frequencies, 2 * fr.block_reach + 1, 2, fr.sides[0], k, u, fr.window)
            x = unfold(x.movedim(1, 5), 5, fr.block, fr.sides[1])
        x = self.column.of_table.T @ x.reshape(fr.frequencies * 2, -1)
        x = x.view(fr.sides[2], fr.sides[0], k, u, fr.sides[1])
        return fr.table_gradient(x.permute(2, 3, 1, 4, 0))
