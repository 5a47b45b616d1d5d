"""The forward pass of the scores order."""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from lambdanets.ops.impl.scores.walk import Walk, by_context_row
from lambdanets.ops.tiles import Box, Span, expand_table, front


class _ForwardStep(NamedTuple):
    """The views that a block works on, whatever the box and the image."""

    rows: slice
    query: Tensor
    """(x, h, y, k)."""
    table: Tensor
    """T as (x, k, offsets)."""
    scores: Tensor
    """P as (x, h·y, offsets)."""
    output: Tensor
    """(y, x, h, v)."""
    products: list[tuple[Tensor, Tensor, Tensor]]
    """S, V and y, a run of query rows at a time."""


class Forward(Walk):
    """The forward pass."""

    def __init__(self, query: Tensor, value: Tensor, table: Tensor):
        super().__init__(query, value, table)
        self.values = by_context_row(value.movedim((2, 1), (-2, -1)).contiguous())  # b y' *lead' u x' v
        self.outputs = query.new_empty(*self.queries.shape[:-1], self.v)
        self.scores = query.new_empty(self.most_scores)
        self.steps = functools.cache(self._steps)

    def visit(self, tile: Span, box: Box) -> None:
        """The output of one tile and box, for all images."""
        expanded = expand_table(self.table, self.tiling, tile, box, self.expanded)
        steps = self.steps(len(expanded), math.prod(expanded.shape[3:]))
        inside, columns = (slice(None), *box.context, slice(None), slice(*self.tiling.context(tile))), slice(*tile)
        for queries, values, outputs in zip(self.queries, self.values, self.outputs, strict=True):
            context = values[inside]
            front(self.context, *context.shape).copy_(context)
            for step in steps:
                step.query.copy_(queries[box.place][step.rows, columns].permute(1, 2, 0, 3))
                torch.bmm(step.query.flatten(1, 2), step.table, out=step.scores)
                for scores, seen, output in step.products:
                    torch.bmm(scores, seen, out=output)
                outputs[box.place][step.rows, columns].copy_(step.output)

    def _steps(self, columns: int, length: int) -> list[_ForwardStep]:
        context = front(self.context, self.tiling.size[-2] * length, self.v)
        steps = []
        for block in self.blocks(columns, length):
            output = block.by_row(self.output, self.v)
            rows = output.flatten(1, 2)
            products = [
                (block.scores_of(self.scores, run), block.context_of(context, run), rows[run.rows])
                for run in block.runs
            ]
            query, table = block.by_column(self.query, self.k), block.table(self.expanded, self.k)
            steps.append(_ForwardStep(slice(*block.rows), query, table, block.scores(self.scores), output, products))
        return steps
