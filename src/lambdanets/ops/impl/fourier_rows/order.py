"""Fourier over columns, Toeplitz products over rows, all of it as matrix products.

    V̂[f, m] = Fourier of V over columns      λ̂[f, n, k] = Σ_{m,u} R̂[f, k, u, m − n] V̂[f, m, u]      (n, m: rows)
    λᵖ = inverse Fourier of λ̂                y[b, h, v, n] = Σ_k q[b, h, k, n] λᵖ[b, k, v, n]

For each frequency the sum over m is a real matrix product of (2·j·k) × (2·m·u) by (2·m·u) × v numbers, for j rows at
a time, whose lambdas alone are ever in memory. Where rows are many and all in reach of one another, blocks of rows go
through a second, complex, transform. The backward pass recomputes λ̂ and sends its gradient down the same road.
Right for windows beyond a few pixels, and for global maps up to some 128 a side.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lambdanets.ops.impl.fourier_rows.frame import Frame
from lambdanets.ops.impl.fourier_rows.slab import Slab
from lambdanets.ops.layout import CHANNEL_AXES, in_layout
from lambdanets.ops.precision import widened
from lambdanets.ops.problem import Problem

NAME = "fourier_rows"


def why_not(problem: Problem) -> str | None:
    """None: able for every map and every table."""
    return None


def forward(
    query: Float[Tensor, "b h k *N"], value: Float[Tensor, "b v u *N"], table: Float[Tensor, "k u *R"]
) -> Tensor:
    """The position output, (b, h, v, *N), in fp32 or wider, its channels fastest in memory."""
    query, value, table = widened(query, value, table)
    slab = Slab(query, value, table)
    query, value = _by_position(query), _by_position(value)
    out = query.new_empty(*query.shape[:-1], slab.v)
    for images in _image_groups(slab.frame, query.shape[0]):
        spectrum = slab.spectra.of_values(value[images])
        queries = [_lines(slab.frame, q) for q in query[images]]
        outputs = [_space(slab.frame, y) for y in out[images]]
        for step in slab.frame.steps():
            lines = slab.lines(spectrum, step)
            for blocks, rows in slab.frame.lines_of(step):
                lambdas = slab.lambdas(lines, blocks).view(-1, slab.k, len(queries), slab.v)
                for i, (q, y) in enumerate(zip(queries, outputs, strict=True)):
                    _put_product(y[rows], q[rows].flatten(0, 1), lambdas[:, :, i])
        for image, y in zip(out[images], outputs, strict=True):
            _write(slab.frame, y, image)
    return out.movedim((-2, -1), (1, 2))


def backward(
    grad: Float[Tensor, "b h v *N"],
    query: Float[Tensor, "b h k *N"],
    value: Float[Tensor, "b v u *N"],
    table: Float[Tensor, "k u *R"],
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of query, value and table; those not needed are None."""
    grad, query, value, table = widened(grad, query, value, table)
    slab = Slab(query, value, table)
    grad, query, value = _by_position(grad), _by_position(query), _by_position(value)
    d_query = query.new_empty(query.shape) if needs[0] else None
    d_value = value.new_empty(value.shape) if needs[1] else None
    d_numbers = torch.zeros_like(slab.numbers) if needs[2] else None
    for images in _image_groups(slab.frame, query.shape[0]):
        spectrum = slab.spectra.of_values(value[images])
        d_spectrum = None if d_value is None else _space_of_sum(slab.frame, spectrum)
        d_queries = query[images, :0] if d_query is None else d_query[images]
        parts = [_Image.of(slab.frame, *p) for p in zip(query[images], grad[images], d_queries, strict=True)]
        for step in slab.frame.steps():
            lines = (slab.lines if needs[0] else slab.empty_lines)(spectrum, step)
            last = 0
            for blocks, rows in slab.frame.lines_of(step):
                _rows_back(slab, lines, blocks, rows, parts)
                last = blocks.stop
            lines[:, last:] = 0  # past the last row
            slab.lines_back(lines, spectrum, step, d_spectrum, d_numbers)
        if d_query is not None:
            for image, part in zip(d_query[images], parts, strict=True):
                _write(slab.frame, part.d_query, image)
        if d_value is not None and d_spectrum is not None:
            slab.spectra.values_gradient(d_spectrum, d_value[images])
    return (
        None if d_query is None else d_query.movedim((-2, -1), (1, 2)),
        None if d_value is None else d_value.movedim((-2, -1), (1, 2)),
        None if d_numbers is None else slab.table_gradient(d_numbers, table),
    )


class _Image(NamedTuple):
    """What the backward pass reads and writes of one image, as lines (lines, columns, c1, c2)."""

    query: Tensor
    grad: Tensor
    d_query: Tensor
    """Empty if not needed."""

    @classmethod
    def of(cls, frame: Frame, query: Tensor, grad: Tensor, d_query: Tensor) -> "_Image":
        """The lines of a query (*N, h, k), of a gradient (*N, h, v), and space for those of the query's gradient."""
        return cls(_lines(frame, query), _lines(frame, grad), _space(frame, d_query) if d_query.numel() else d_query)


def _rows_back(slab: Slab, lines: Tensor, blocks: slice, rows: slice, images: list[_Image]) -> None:
    """The gradient of the queries of some rows; that of their λ̂ over columns takes the place of λ̂."""
    needs_query = images[0].d_query.numel() > 0
    space = slab.lambdas(lines, blocks) if needs_query else slab.empty_lambdas(lines, blocks)
    lambdas = space.view(-1, slab.k, len(images), slab.v)
    for i, image in enumerate(images):
        q, g = image.query[rows].flatten(0, 1), image.grad[rows].flatten(0, 1)
        if needs_query:
            _put_product(image.d_query[rows], g, lambdas[:, :, i].mT)
        if len(images) == 1:
            torch.bmm(q.mT, g, out=lambdas[:, :, 0])
        else:
            lambdas[:, :, i] = torch.bmm(q.mT, g)
    slab.lambdas_back(space, lines, blocks)


def _image_groups(frame: Frame, b: int) -> Iterator[slice]:
    """Images whose values stand side by side."""
    return (slice(first, min(b, first + frame.images)) for first in range(0, b, frame.images))


def _by_position(maps: Tensor) -> Tensor:
    """(b, c1, c2, *N) as (b, *N, c1, c2), contiguous."""
    return in_layout(maps, channels_last=True).movedim(CHANNEL_AXES, (-2, -1))


def _lines(frame: Frame, maps: Tensor) -> Tensor:
    """Maps (*N, c1, c2) as (lines, columns, c1, c2), a view where that is possible."""
    return frame.lines(maps.flatten(-2)).unflatten(2, maps.shape[-2:])


def _space(frame: Frame, maps: Tensor) -> Tensor:
    """Space for the lines of maps (*N, c1, c2): these maps themselves where that is possible."""
    shape = (frame.planes * frame.rows, frame.columns, *maps.shape[-2:])
    return maps.view(shape) if frame.is_plain else maps.new_empty(shape)


def _space_of_sum(frame: Frame, like: Tensor) -> Tensor:
    """Zeros for steps to add to, or just space where the first step writes."""
    return torch.empty_like(like) if frame.writes(next(frame.steps())) else torch.zeros_like(like)


def _write(frame: Frame, lines: Tensor, maps: Tensor) -> None:
    """The inverse of `_lines`, into the maps, unless it is there already."""
    if not frame.is_plain:
        maps.copy_(frame.unlines(lines.flatten(2)).view(maps.shape))


def _put_product(lines: Tensor, left: Tensor, right: Tensor) -> None:
    """Write left · right, (positions, c1, c2), over some lines (lines, columns, c1, c2)."""
    if lines.is_contiguous():
        torch.bmm(left, right, out=lines.flatten(0, 1))
    else:
        lines.copy_(torch.bmm(left, right).view(lines.shape))
