"""The correlation theorem: fast Fourier transforms over every axis, zero-padded so that nothing wraps.

    λ̂[k, v] = Σ_u conj(R̂[k, u]) V̂[v, u]  frequency by frequency      λᵖ = inverse Fourier of λ̂
    y[b, h, v, n] = Σ_k q[b, h, k, n] λᵖ[b, k, v, n]

n·log n: right where maps and windows are so large that even blocked products lose. One key channel and a few value
channels at a time, so that a step stays near the core; spectra of V are kept, λᵖ never is. Spectra are laid out
(f, c, other f), the halved last axis first: then every transform reads its batch in one stride and none is copied.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lambdanets.ops.cost import Cost, Prices, Work, predicted
from lambdanets.ops.layout import in_layout
from lambdanets.ops.offsets import crop_table, uncrop_table
from lambdanets.ops.precision import widened
from lambdanets.ops.problem import Problem

NAME = "fourier"

STEP_BYTES = 1_000_000
"""What the spectra of one step may take."""

PRICES: Prices = {
    "inverse": (1.3e-09, 2.8e-09), "multiplied": (5.3e-10, 2.3e-09), "values": (4.3e-09, 1.1e-08),
    "applied": (6.8e-10, 1.4e-09), "steps": (4.9e-05, 0.00013), "setup": (0.0004, 0.00052),
}  # fmt: skip
"""Of a padded number transformed back, multiplied, and transformed; of a multiply-add of q, a step and a call."""
THIRD_AXIS = 1.5
"""Three axes take so many times longer."""


def why_not(problem: Problem) -> str | None:
    """None: able for every map and every table."""
    return None


def work(problem: Problem) -> Work:
    """How much of each kind the forward pass does."""
    p, periods = problem, _periods(problem)
    padded, slower = math.prod(periods), THIRD_AXIS if len(periods) == 3 else 1
    lambdas = p.b * p.k * p.v * padded * slower
    return {
        "inverse": lambdas * math.log2(2 * padded) / 14,
        "multiplied": lambdas * p.u,
        "values": slower * p.u * (p.b * p.v + p.k) * padded,
        "applied": p.b * p.n * p.h * p.k * p.v,
        "steps": p.b * p.k * -(-p.v // _channels(periods, p.v)) * (4 + p.h) / 8,
        "setup": 1,
    }


def cost(problem: Problem, backward: bool) -> Cost:
    """5·log₂ operations a padded number and lambda for the transforms; memory for the spectra of V and R."""
    p, periods, done = problem, _periods(problem), work(problem)
    padded, passes = math.prod(periods), 2.5 if backward else 1
    products = p.b * p.k * p.v * padded * (2.5 * math.log2(2 * padded) + 3 * p.u) + done["applied"]
    numbers = (p.u * (p.v + p.k) + 3 * _channels(periods, p.v)) * padded * (3 if backward else 1)
    return Cost(round(passes * products), numbers * max(4, p.itemsize), predicted(p, NAME, done, PRICES, backward))


def _periods(p: Problem) -> list[int]:
    return [_period(size, side) for size, side in zip(p.context_size, p.reach, strict=True)]


def forward(
    query: Float[Tensor, "b h k *N"], value: Float[Tensor, "b v u *N"], table: Float[Tensor, "k u *R"]
) -> Tensor:
    """The position output, (b, h, v, *N), in fp32 or wider."""
    query, value, table = widened(in_layout(query, False), in_layout(value, False), table)
    grid = _Grid(value, table)
    out = query.new_zeros(*query.shape[:2], *value.shape[1:2], *query.shape[3:])
    spectra = grid.of_table(table)
    for image, q, y in zip(value, query, out, strict=True):
        values = grid.of_values(image)
        for some in grid.channels(image.shape[0]):
            for k in range(q.shape[1]):
                lambdas = grid.lambdas(values[:, :, some], spectra[k])
                for h in range(q.shape[0]):
                    y[h, some].addcmul_(q[h, k], lambdas)
    return out


def backward(
    grad: Float[Tensor, "b h v *N"],
    query: Float[Tensor, "b h k *N"],
    value: Float[Tensor, "b v u *N"],
    table: Float[Tensor, "k u *R"],
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of query, value and table; those not needed are None."""
    grad, query, value = (in_layout(maps, channels_last=False) for maps in (grad, query, value))
    grad, query, value, table = widened(grad, query, value, table)
    grid = _Grid(value, table)
    spectra = grid.of_table(table)
    d_query = torch.zeros_like(query, memory_format=torch.contiguous_format) if needs[0] else None
    d_value = torch.empty_like(value, memory_format=torch.contiguous_format) if needs[1] else None
    d_spectra = torch.zeros_like(spectra) if needs[2] else None
    for i, image in enumerate(value):
        values = grid.of_values(image)
        d_values = torch.zeros_like(values) if needs[1] else None
        for some in grid.channels(image.shape[0]):
            for k in range(query.shape[2]):
                seen, g = values[:, :, some], grad[i, :, some]
                if d_query is not None:
                    lambdas = grid.lambdas(seen, spectra[k])
                    for h in range(query.shape[1]):
                        d_query[i, h, k] += (g[h] * lambdas).sum(0)
                if needs[1] or needs[2]:
                    d_hat = grid.of_lambdas(query[i, :, k], g)
                    if d_values is not None:
                        d_values[:, :, some] += d_hat[:, None] * spectra[k].transpose(0, 1)[:, :, None].conj()
                    if d_spectra is not None:
                        d_spectra[k] += (d_hat[:, None] * seen.conj()).sum(2).transpose(0, 1)
        if d_value is not None and d_values is not None:
            d_value[i] = grid.values_gradient(d_values)
    return d_query, d_value, None if d_spectra is None else grid.table_gradient(d_spectra, table)


class _Grid:
    """The padded grid of one problem, and the transforms from and to it."""

    def __init__(self, value: Tensor, table: Tensor) -> None:
        """A grid for maps like value (b, v, u, *N) and a table (k, u, *R)."""
        self.size = tuple(value.shape[3:])
        self.sides = tuple(crop_table(table, self.size).shape[2:])
        self.periods = [_period(size, side) for size, side in zip(self.size, self.sides, strict=True)]
        self.axes = range(2, 2 + len(self.size))
        self.inside = tuple(slice(0, size) for size in self.size)

    def channels(self, v: int) -> Iterator[slice]:
        """A few value channels at a time."""
        some = _channels(self.periods, v)
        return (slice(first, min(v, first + some)) for first in range(0, v, some))

    def of_values(self, image: Float[Tensor, "v u *N"]) -> Complex[Tensor, "f u v *F"]:
        """V̂ of one image."""
        return self._transform(image).movedim(-1, 0).movedim(1, 2).contiguous()

    def values_gradient(self, gradient: Complex[Tensor, "f u v *F"]) -> Tensor:
        """The gradient of an image (v, u, *N) from that of V̂."""
        images = self._inverse(gradient.movedim(2, 1).movedim(0, -1)) * math.prod(self.periods)
        return images[(..., *self.inside)]

    def of_table(self, table: Float[Tensor, "k u *R"]) -> Complex[Tensor, "k u f *F"]:
        """The conjugate of R̂, for a correlation; with the factor of the inverse transform."""
        cropped = crop_table(table, self.size)
        padded = cropped.new_zeros(*cropped.shape[:2], *self.periods)
        padded[(..., *(slice(0, side) for side in self.sides))] = cropped
        centred = torch.roll(padded, [-(side // 2) for side in self.sides], list(self.axes))
        return self._transform(centred).movedim(-1, 2).conj().contiguous().resolve_conj() / math.prod(self.periods)

    def table_gradient(self, gradient: Complex[Tensor, "k u f *F"], table: Tensor) -> Tensor:
        """The gradient of the table from that of its spectra."""
        centred = self._inverse(gradient.conj().movedim(2, -1))
        padded = torch.roll(centred, [side // 2 for side in self.sides], list(self.axes))
        return uncrop_table(padded[(..., *(slice(0, side) for side in self.sides))], table.shape[2:]).contiguous()

    def lambdas(self, values: Complex[Tensor, "f u v *F"], table: Complex[Tensor, "u f *F"]) -> Tensor:
        """The lambdas (v, *N) of some value channels and one key channel."""
        hat = values[:, 0] * table[0, :, None]
        for u in range(1, table.shape[0]):
            hat.addcmul_(values[:, u], table[u, :, None])
        if len(self.size) > 1:
            hat = torch.fft.ifftn(hat, dim=list(self.axes)[:-1], norm="forward")
        maps = torch.fft.irfft(hat, n=self.periods[-1], dim=0, norm="forward")
        return maps.movedim(0, -1)[(..., *self.inside)]

    def of_lambdas(self, query: Float[Tensor, "h *N"], grad: Float[Tensor, "h v *N"]) -> Complex[Tensor, "f v *F"]:
        """The spectrum of the gradient of the lambdas, Σ_h q·dy."""
        maps = grad.new_empty(*self.size[:-1], grad.shape[1], self.size[-1]).movedim(-2, 0)
        torch.mul(query[0], grad[0], out=maps)
        for h in range(1, query.shape[0]):
            maps.addcmul_(query[h], grad[h])
        hat = torch.fft.rfft(maps.movedim(0, -2), n=self.periods[-1])
        if len(self.size) > 1:
            hat = torch.fft.fftn(hat, s=self.periods[:-1], dim=list(range(len(self.size) - 1)))
        return hat.movedim((-1, -2), (0, 1))

    def _transform(self, maps: Tensor) -> Tensor:
        return torch.fft.rfftn(maps, s=self.periods, dim=list(self.axes))

    def _inverse(self, spectra: Tensor) -> Tensor:
        return torch.fft.irfftn(spectra, s=self.periods, dim=list(self.axes))


def _period(size: int, side: int) -> int:
    """The next length that is cheap to transform and in which nothing wraps."""
    period = size + side // 2
    while not _is_cheap(period):
        period += 1
    return period


def _is_cheap(period: int) -> bool:
    rest = period
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1 and (period % 8 == 0 or period < 16)


def _channels(periods: list[int], v: int) -> int:
    """Value channels whose spectra fit a step."""
    return max(1, min(v, STEP_BYTES // (4 * math.prod(periods))))
