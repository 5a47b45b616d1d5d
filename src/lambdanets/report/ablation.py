"""What a trained network loses when a part of it is taken away."""

from copy import deepcopy

import torch
from torch import nn

from lambdanets.layers import PositionTable


@torch.no_grad()
def without_positions(model: nn.Module) -> nn.Module:
    """A copy of the network whose position tables are all zero: it still sees what is there, no longer where.

    The network was not trained to do without, so the loss shows what it relies on, not what it could do.
    """
    copy = deepcopy(model)
    for module in copy.modules():
        if isinstance(module, PositionTable):
            module.table.zero_()
    return copy
