"""The products over rows: from V̂ to the lambdas of a few rows, and the gradients all the way back.

R̂ is laid out once, as a slab of (2·j·k) × (window + j − 1)·2·u numbers a frequency. Its row j is shifted by j
entries, so the product of one narrow view of it with the context rows in reach gives λ̂ for j rows at once; the next
j rows read the same slab. Every step works in the same space, which stays in the cache.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lambdanets.ops.impl.fourier_rows.frame import SPACING, Frame, Step
from lambdanets.ops.impl.fourier_rows.spectra import Spectra
from lambdanets.ops.offsets import crop_table, uncrop_table
from lambdanets.ops.tiles import front, spans

LARGE_PRODUCT = 200_000
"""Multiply-adds from which a batch of products is better added one by one than all at once through a copy."""


class Slab:
    """R̂ of one problem laid out, and the space that every step works in."""

    def __init__(self, query: Tensor, value: Tensor, table: Tensor) -> None:
        """Lay out R̂ for query (b, h, k, *N), value (b, v, u, *N) and table (k, u, *R)."""
        cropped = crop_table(table, value.shape[3:])
        self.k, (self.v, self.u) = query.shape[2], value.shape[1:3]
        fr = self.frame = Frame.of(value.shape[3:], cropped.shape[2:], value.shape[0], self.k, self.v)
        self.spectra = Spectra(fr, query)
        self.numbers = self._lay_out(self.spectra.of_table(cropped))
        width = self.k * fr.images * self.v
        self._hats = query.new_empty(fr.group * fr.block_frequencies * 2 * fr.step * width)
        self._lines = query.new_empty(fr.numbers_of_lines(width))
        self._lambdas = query.new_empty(fr.columns * max(fr.step, fr.span) * width)
        self._spare = query.new_empty(self._lambdas.numel() // 2 if fr.is_mirrored else 0)

    def _lay_out(self, table: Tensor) -> Tensor:
        """R̂ (c, planes, f·g, k, window, u) as (planes, f·g, c, j, k, (window + step − 1)·c·u)."""
        fr, (real, imaginary) = self.frame, table
        planes, pairs, k, window, u = real.shape
        length = window + fr.step - 1
        shape = planes, pairs, 2, k, length + fr.step - 1, 2, u
        padded = real.new_empty(shape) if fr.step == 1 else real.new_zeros(shape)
        entries = padded[:, :, :, :, fr.step - 1 : length]
        entries[:, :, 0, ..., 0, :] = entries[:, :, 1, ..., 1, :] = real
        torch.neg(imaginary, out=entries[:, :, 0, ..., 1, :])
        entries[:, :, 1, ..., 0, :] = imaginary
        if fr.step == 1:
            return padded.view(planes, pairs, 2, 1, k, -1)
        slab = real.new_empty(planes, pairs, 2, fr.step, k, length * 2 * u)
        for j in range(fr.step):
            first = fr.step - 1 - j
            slab[:, :, :, j] = padded[:, :, :, :, first : first + length].flatten(-3)
        return slab

    def table_gradient(self, d_numbers: Tensor, table: Tensor) -> Tensor:
        """The gradient of the table from that of the slab's numbers: the adjoint of laying it out."""
        fr = self.frame
        d_slab = d_numbers.unflatten(5, (-1, 2, self.u))
        total = d_slab[:, :, :, 0, :, : fr.window]
        if fr.step > 1:
            total = total.clone()
        for j in range(1, fr.step):
            total += d_slab[:, :, :, j, :, j : j + fr.window]
        d_table = total.new_empty(2, *total[:, :, 0, ..., 0, :].shape)
        torch.add(total[:, :, 0, ..., 0, :], total[:, :, 1, ..., 1, :], out=d_table[0])
        torch.sub(total[:, :, 1, ..., 0, :], total[:, :, 0, ..., 1, :], out=d_table[1])
        return uncrop_table(self.spectra.table_gradient(d_table), table.shape[2:]).contiguous()

    def empty_lines(self, spectrum: Tensor, step: Step) -> Tensor:
        """Space for what `lines` returns."""
        fr, width = self.frame, self.k * spectrum.shape[3]
        space, spacing = (self._hats, 0) if fr.blocks == 1 else (self._lines, SPACING)
        shape = fr.frequencies * 2, fr.blocks, step.last - step.first, width + spacing
        return front(space, *shape)[..., :width]

    def lines(self, spectrum: Tensor, step: Step) -> Tensor:
        """λ̂ over columns, (f·c, blocks, j, k·width), of the rows of a step, from V̂ (f·g, planes, rows·c·u, width)."""
        lines = self.empty_lines(spectrum, step)
        for columns, pairs in self._groups():
            hats = self._space(step, pairs, spectrum.shape[3])
            for index, plane in enumerate(self.frame.planes_seen(step.plane)):
                entries, seen = (
                    self._entries(self.numbers, step, plane, pairs),
                    self._seen(spectrum, step, plane, pairs),
                )
                if index == 0:
                    torch.bmm(entries.reshape(*hats.shape[:2], -1), seen, out=hats)
                else:
                    torch.baddbmm(hats, entries.reshape(*hats.shape[:2], -1), seen, out=hats)
            if self.spectra.block is not None:
                over_blocks = self._over_blocks(lines, columns)
                inverse = self.spectra.block.synthesise.expand(over_blocks.shape[0], -1, -1)
                torch.bmm(inverse, hats.view(over_blocks.shape[0], -1, over_blocks.shape[2]), out=over_blocks)
        return lines

    def lines_back(
        self, lines: Tensor, spectrum: Tensor, step: Step, d_spectrum: Tensor | None, d_numbers: Tensor | None
    ) -> None:
        """Add to the gradients of V̂ and of the slab what the gradient of `lines` contributes.

        Where `frame.writes` says so, the gradient of V̂ is written.
        """
        for columns, pairs in self._groups():
            hats = self._space(step, pairs, spectrum.shape[3])
            if self.spectra.block is not None:
                over_blocks = self._over_blocks(lines, columns)
                adjoint = self.spectra.block.synthesise.T.expand(over_blocks.shape[0], -1, -1)
                torch.bmm(adjoint, over_blocks, out=hats.view(over_blocks.shape[0], -1, over_blocks.shape[2]))
            for plane in self.frame.planes_seen(step.plane):
                if d_spectrum is not None:
                    entries = self._entries(self.numbers, step, plane, pairs).reshape(*hats.shape[:2], -1)
                    total = self._seen(d_spectrum, step, plane, pairs)
                    if self.frame.writes(step):
                        torch.bmm(entries.mT, hats, out=total)
                    else:
                        _add_product(total, entries.mT, hats)
                if d_numbers is not None:
                    seen = self._seen(spectrum, step, plane, pairs)
                    _add_product(self._entries(d_numbers, step, plane, pairs), hats, seen.mT)

    def empty_lambdas(self, lines: Tensor, blocks: slice) -> Tensor:
        """Space for what `lambdas` returns."""
        columns, rows, numbers = self.frame.columns, (blocks.stop - blocks.start) * lines.shape[2], lines.shape[3]
        return front(self._lambdas, rows, columns, numbers)

    def lambdas(self, lines: Tensor, blocks: slice) -> Tensor:
        """The lambdas of the rows of a step in some blocks, (blocks·j, columns, k·width), from λ̂ over columns."""
        space = self.empty_lambdas(lines, blocks)
        self.spectra.to_columns(self._by_row(lines, blocks), space, self._spare_like(space))
        return space

    def lambdas_back(self, lambdas: Tensor, lines: Tensor, blocks: slice) -> None:
        """Overwrite λ̂ over columns with its gradient, given that of the lambdas."""
        self.spectra.to_columns_back(lambdas, self._by_row(lines, blocks), self._spare_like(lambdas))

    def _by_row(self, lines: Tensor, blocks: slice) -> Tensor:
        """λ̂ over columns of the rows of a step in some blocks, (f·c, blocks·j, k·width)."""
        return lines[:, blocks].flatten(1, 2)

    def _spare_like(self, lambdas: Tensor) -> Tensor:
        """Space for half the columns, if mirrored."""
        rows, columns, numbers = lambdas.shape
        half = columns // 2 if self.frame.is_mirrored else 0
        return front(self._spare, rows, half, numbers)

    def _groups(self) -> Iterator[tuple[slice, slice]]:
        """Column frequencies f computed at a time, and the pairs f·g they stand for."""
        fr = self.frame
        for first, last in spans(fr.frequencies, fr.group):
            yield slice(first, last), slice(first * fr.block_frequencies, last * fr.block_frequencies)

    def _space(self, step: Step, pairs: slice, width: int) -> Tensor:
        """Space for λ̂ of a step, (f·g, c·j·k, width)."""
        return front(self._hats, pairs.stop - pairs.start, 2 * (step.last - step.first) * self.k, width)

    def _over_blocks(self, lines: Tensor, columns: slice) -> Tensor:
        return lines.view(self.frame.frequencies, 2 * self.frame.blocks, lines.shape[3])[columns]

    def _seen(self, spectrum: Tensor, step: Step, plane: int, pairs: slice) -> Tensor:
        """The context rows in reach of a step, in one plane: (f·g, rows·c·u, width)."""
        entry = 2 * self.u
        return spectrum[pairs, plane, step.seen.start * entry : step.seen.stop * entry]

    def _entries(self, numbers: Tensor, step: Step, plane: int, pairs: slice) -> Tensor:
        """The part of a slab that pairs a step with the rows it sees: (f·g, c·j·k, rows·c·u), or c and j·k apart."""
        entry, rows = 2 * self.u, (step.last - step.first) * self.k
        part = numbers[plane - step.plane + self.frame.sides[0] // 2, pairs]
        part = part.flatten(2, 3)[..., step.entries.start * entry : step.entries.stop * entry]
        return part.flatten(1, 2) if rows == part.shape[2] else part[:, :, :rows]


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Total + left · right, in place; a batch of products, `total` with its rows in one or two axes."""
    if total.ndim == 4:
        total += torch.bmm(left, right).view(total.shape)
    elif total.is_contiguous() or left.shape[1] * left.shape[2] * right.shape[2] >= LARGE_PRODUCT:
        torch.baddbmm(total, left, right, out=total)
    else:
        total += torch.bmm(left, right)
