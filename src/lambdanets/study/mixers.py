"""The layers of Table 4, each alone at the width of c2: what is measured in a process of its own.

Apart from the part that asks, so that such a process loads no more than it needs.
"""

from collections.abc import Callable

import torch
from torch import nn

from lambdanets.layers import LambdaLayer, global_scope
from lambdanets.layers.attention import AxialAttention, LinearAttention, LocalAttention, RelativeAttention
from lambdanets.study.measuring import training_call

DIM = 64
"""Channels: the width of c2 in a ResNet-50."""
HEADS = 8
"""Of the self-attention, as in the paper's Table 4; lambda layers have their default, 4."""


def build(layer: str, side: int) -> nn.Module:
    """The layer of this name, its position embeddings for a square map of this side."""
    size = (side, side)
    makers: dict[str, Callable[[], nn.Module]] = {
        "global": lambda: RelativeAttention(DIM, size=size, num_heads=HEADS),
        "axial": lambda: AxialAttention(DIM, size=size, num_heads=HEADS),
        "local": lambda: LocalAttention(DIM, scope=7, num_heads=HEADS),
        "linear": lambda: LinearAttention(DIM, num_heads=HEADS),
        "lambda": lambda: LambdaLayer(DIM, scope=global_scope(size)),
        "lambda-printed": lambda: LambdaLayer(DIM, scope=global_scope(size), impl="reference"),
        "lambda-convolution": lambda: LambdaLayer(DIM, scope=7),
        "convolution": lambda: nn.Conv2d(DIM, DIM, 3, padding=1, bias=False),
    }
    return makers[layer]()


def training_of(layer: str, side: int, batch: int) -> Callable[[], object]:
    """Forward and backward of a layer on `batch` random maps."""
    return training_call(build(layer, side), torch.randn(batch, DIM, side, side))
