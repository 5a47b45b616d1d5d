"""The backward pass of the scores order: dP = dy · Vᵀ, dV = Pᵀ · dy, dq = dP · Tᵀ, dT = qᵀ · dP."""

import functools
import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from lambdanets.ops.blocks import Block
from lambdanets.ops.impl.scores.walk import Walk, by_context_row
from lambdanets.ops.precision import at_least_fp32
from lambdanets.ops.tiles import Box, Span, add_expanded, expand_table, front


class _BackwardStep(NamedTuple):
    """The views that a block works on, whatever the box and the image."""

    block: Block
    query: Tensor
    """As (x, h, y, k), as (x, h·y, k), and (x, k, h·y)."""
    queries: Tensor
    queries_transposed: Tensor
    d_query: Tensor
    """As (y, x, h, k), and as (x, h·y, k)."""
    d_queries: Tensor
    table: Tensor
    """T as (x, k, offsets), Tᵀ as (x, offsets, k), dT like T."""
    transposed: Tensor
    d_table: Tensor
    scores: Tensor
    """P and dP as (x, h·y, offsets)."""
    d_scores: Tensor
    grad: Tensor
    """dy as (y, x, h, v)."""
    to_values: list[tuple[Tensor, Tensor, Tensor]]
    """Where dV is added up, Sᵀ and dy, a query row at a time."""
    to_scores: list[tuple[Tensor, Tensor, Tensor]]
    """dy, Vᵀ and dS, a query row at a time."""
    unseen: list[Tensor]
    """The parts of dP that no product fills."""


class Backward(Walk):
    """The backward pass."""

    def __init__(self, grad: Tensor, query: Tensor, value: Tensor, table: Tensor, needs: tuple[bool, bool, bool]):
        # In narrow dtypes most of these products are too small to gain, and their sums want fp32 anyway.
        wide = at_least_fp32(query.dtype)
        grad, query, value, table = grad.to(wide), query.to(wide), value.to(wide), table.to(wide)
        super().__init__(query, value, table)
        self.needs_query, self.needs_value, self.needs_table = needs
        self.needs_scores = self.needs_query or self.needs_table
        self.values = value.contiguous().movedim(2, -2).movedim(-3, 2)  # b v y' *lead' u x'
        self.grads = grad.movedim((1, 2), (-2, -1)).contiguous()
        size = (value.shape[0], *self.tiling.size, value.shape[2], self.v) if self.needs_value else 0
        self.d_queries = torch.empty_like(self.queries)
        self.d_values = query.new_zeros(size)
        self.d_table = torch.zeros_like(self.table)
        self.scores = query.new_empty(self.most_scores if self.needs_value else 0)
        self.d_scores = query.new_empty(self.most_scores if self.needs_scores else 0)
        self.d_query, self.transposed = torch.empty_like(self.query), torch.empty_like(self.expanded)
        self.d_context = torch.empty_like(self.context)
        self.d_expanded = torch.empty_like(self.expanded)
        self.clean: Block | None = None
        self.steps = functools.cache(self._steps)

    def visit(self, tile: Span, box: Box) -> None:
        """What one tile and box add to the gradients, for all images."""
        expanded = expand_table(self.table, self.tiling, tile, box, self.expanded)
        transposed, d_expanded = expanded.flatten(2).transpose(1, 2), front(self.d_expanded, *expanded.shape)
        if self.needs_query:
            front(self.transposed, *transposed.shape).copy_(transposed)
        if self.needs_table:
            d_expanded.zero_()
        inside = (*box.context, slice(None), slice(*self.tiling.context(tile)))
        for image, values in enumerate(self.values):
            context = values[:, :, *inside]
            front(self.context, *context.shape).copy_(context)
            self.d_context.zero_()
            for step in self.steps(len(expanded), math.prod(expanded.shape[3:])):
                place = (image, *box.place, slice(*step.block.rows), slice(*tile))
                self._run(step, self.queries[place], self.grads[place], self.d_queries[place])
            if self.needs_value:
                seen = by_context_row(self.d_values)[image][:, *inside]
                seen.add_(front(self.d_context, *seen.shape))
        if self.needs_table:
            add_expanded(self.d_table, d_expanded, self.tiling, tile, box)

    def _run(self, step: _BackwardStep, query: Tensor, grad: Tensor, d_query: Tensor) -> None:
        """What one block of one image adds to the gradients; its tensors are (y, x, h, depth)."""
        step.query.copy_(query.permute(1, 2, 0, 3))
        step.grad.copy_(grad)
        if self.needs_value:
            torch.bmm(step.queries, step.table, out=step.scores)
            for total, scores, rows in step.to_values:
                torch.addmm(total, scores, rows, out=total)
        if not self.needs_scores:
            return
        if self.clean is not step.block:
            self.clean = step.block
            for part in step.unseen:
                part.zero_()
        for rows, values, scores in step.to_scores:
            torch.mm(rows, values, out=scores)
        if self.needs_query:
            torch.bmm(step.d_scores, step.transposed, out=step.d_queries)
            d_query.copy_(step.d_query)
        if self.needs_table:
            torch.baddbmm(step.d_table, step.queries_transposed, step.d_scores, out=step.d_table)

    def _steps(self, columns: int, length: int) -> list[_BackwardStep]:
        return [self._step(block) for block in self.blocks(columns, length)]

    def _step(self, block: Block) -> _BackwardStep:
        query, d_query = block.by_column(self.query, self.k), block.by_column(self.d_query, self.k)
        grad = block.by_row(self.output, self.v)
        numbers, rows = self.tiling.size[-2] * block.length, grad.flatten(1, 2)
        values, d_values = front(self.context, self.v, numbers), front(self.d_context, numbers, self.v)
        to_values, to_scores = [], []
        for run in itertools.chain.from_iterable(run.each() for run in block.runs):
            seen, y = slice(run.context, run.context + run.length), run.rows.start
            if self.needs_value:
                to_values.append((d_values[seen], block.scores_of(self.scores, run)[0].t(), rows[y]))
            if self.needs_scores:
                to_scores.append((rows[y], values[:, seen], block.scores_of(self.d_scores, run)[0]))
        return _BackwardStep(
            block=block,
            query=query,
            queries=query.flatten(1, 2),
            queries_transposed=query.flatten(1, 2).transpose(1, 2),
            d_query=d_query.permute(2, 0, 1, 3),
            d_queries=d_query.flatten(1, 2),
            table=block.table(self.expanded, self.k),
            transposed=block.table_transposed(self.transposed, self.k),
            d_table=block.table(self.d_expanded, self.k),
            scores=block.scores(self.scores) if self.needs_value else self.scores,
            d_scores=block.scores(self.d_scores) if self.needs_scores else self.d_scores,
            grad=grad,
            to_values=to_values,
            to_scores=to_scores,
            unseen=block.unseen(self.d_scores) if self.needs_scores else [],
        )
