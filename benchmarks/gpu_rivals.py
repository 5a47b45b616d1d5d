"""Rivals that only a GPU runs well: FlexAttention with a bias by relative position, and neighbourhood attention."""

import importlib
import math

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from benchmarks.cases import Case
from benchmarks.peers import CONTENDERS, Contender, Unable


class BiasedAttention(nn.Module):
    """Multi-head attention with a learned bias for each head and offset, inside the window of the case."""

    def __init__(self, case: Case, *, fused: bool = True):
        """`fused`: by the compiled kernel, without which FlexAttention forms whole attention maps."""
        super().__init__()
        self.case = case
        self.qkv = nn.Conv1d(case.d, 3 * case.d, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(case.h, math.prod(2 * side - 1 for side in case.size)))
        self.attend = torch.compile(flex_attention, dynamic=False) if fused else flex_attention
        self.mask = None if case.r is None else self._mask(case.r)

    def forward(self, x: Tensor) -> Tensor:
        """(b, d, *N) to the same."""
        flat = self.qkv(x.flatten(2)).unflatten(1, (3, self.case.h, -1)).transpose(-1, -2).contiguous()
        bias = self.bias

        def biased(score: Tensor, b: Tensor, h: Tensor, query: Tensor, context: Tensor) -> Tensor:
            return score + bias[h, self._offset(query, context)]

        out = self.attend(flat[:, 0], flat[:, 1], flat[:, 2], score_mod=biased, block_mask=self.mask)
        assert isinstance(out, Tensor)
        return out.transpose(-1, -2).flatten(1, 2).unflatten(2, x.shape[2:])

    def _offset(self, query: Tensor, context: Tensor) -> Tensor:
        """Where the bias of an offset stands, from flat positions."""
        place = torch.zeros_like(query)
        for side, (n, m) in zip(self.case.size, self._along(query, context), strict=True):
            place = place * (2 * side - 1) + m - n + side - 1
        return place

    def _along(self, query: Tensor, context: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Both positions along each axis."""
        pairs, below = [], math.prod(self.case.size)
        for side in self.case.size:
            below //= side
            pairs.append((query // below % side, context // below % side))
        return pairs

    def _mask(self, r: int) -> BlockMask:
        """Which positions are in each other's window, on the device that modules are built on now."""
        n = math.prod(self.case.size)

        def near(b: Tensor, h: Tensor, query: Tensor, context: Tensor) -> Tensor:
            inside = torch.ones_like(query, dtype=torch.bool)
            for one, other in self._along(query, context):
                inside = inside & ((one - other).abs() <= r // 2)
            return inside

        return create_block_mask(near, None, None, n, n, device=str(torch.get_default_device()))


class Neighbourhood(nn.Module):
    """NATTEN's attention, which wants channels last."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """(b, d, *N) to the same."""
        return self.inner(x.movedim(1, -1)).movedim(-1, 1)


def natten(case: Case) -> nn.Module:
    """NATTEN's neighbourhood attention of the same window, where it is installed and the map holds the window."""
    if case.r is None or case.r > min(case.size):
        raise Unable("wants a window that fits into the map")
    layer = getattr(importlib.import_module("natten"), f"NeighborhoodAttention{len(case.size)}D")
    return Neighbourhood(layer(embed_dim=case.d, num_heads=case.h, kernel_size=case.r))


GPU_CONTENDERS = (
    *CONTENDERS,
    Contender("FlexAttention", BiasedAttention, False),
    Contender("NATTEN", natten, False, channels_last=True),
)
"""All that is measured on a GPU."""
