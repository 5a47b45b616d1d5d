"""What we measure ourselves against, each as a module for a case, or the reason why it cannot run.

Peers are public lambda layers of the same function (`make bench` installs lambda-networks; timm is here anyway;
Holocron joins where pylocron can be imported); rivals are other layers for the
same place in a network. Nothing here is used by the package.
"""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.cases import Case
from lambdanets.layers import LambdaLayer

MEMORY_LIMIT = 10 * 2**30
"""Contenders whose embeddings or attention maps alone would need more are not started on a CPU."""

MOST_ATTENDED = 2**13
"""Positions that attention is run over on a CPU."""


class Unable(Exception):
    """Why a contender cannot run a case."""


@dataclass(frozen=True)
class Contender:
    """A named way to build a layer for a case."""

    name: str
    build: Callable[[Case], nn.Module]
    is_peer: bool
    """Computes the same function as ours."""
    too_large: Callable[[Case], str | None] = lambda case: None
    """Why a CPU should not start the case; None: it may. On a GPU running out of memory is a result."""
    channels_last: bool = False
    """Whether it takes maps with their channels fastest in memory as they are."""


def ours(case: Case) -> nn.Module:
    """The layer of this project, choosing its order by itself."""
    return LambdaLayer(
        case.d, dim_key=case.k, num_heads=case.h, dim_intra=case.u, scope=case.scope, num_axes=len(case.size)
    )


def lambda_networks(case: Case) -> nn.Module:
    """lucidrains/lambda-networks 0.4.0."""
    _want_2d(case)
    if case.r is None and case.size[0] != case.size[1]:
        raise Unable("square maps only")
    layer = importlib.import_module("lambda_networks").LambdaLayer
    return layer(
        dim=case.d, dim_out=case.d, n=case.size[0] if case.r is None else None, r=case.r,
        dim_k=case.k, heads=case.h, dim_u=case.u,
    )  # fmt: skip


def timm(case: Case) -> nn.Module:
    """Timm's LambdaLayer."""
    _want_2d(case)
    if case.u != 1:
        raise Unable("u is fixed to 1")
    layer = importlib.import_module("timm.layers.lambda_layer").LambdaLayer
    return layer(case.d, case.d, feat_size=case.size, num_heads=case.h, dim_head=case.k, r=case.r)


class Conv3dForm(nn.Module):
    """The lambda convolution as one Conv3d, the form of d-li14/lambda.pytorch and most others."""

    def __init__(self, case: Case):
        super().__init__()
        self.k, self.h, self.u, self.v = case.k, case.h, case.u, case.d // case.h
        self.to_query = nn.Conv2d(case.d, case.k * case.h, 1, bias=False)
        self.to_key = nn.Conv2d(case.d, case.k * case.u, 1, bias=False)
        self.to_value = nn.Conv2d(case.d, self.v * case.u, 1, bias=False)
        self.norm_query, self.norm_value = nn.BatchNorm2d(case.k * case.h), nn.BatchNorm2d(self.v * case.u)
        r = case.scope[0]
        self.position = nn.Conv3d(case.u, case.k, (1, r, r), padding=(0, r // 2, r // 2))

    def forward(self, x: Tensor) -> Tensor:
        """(b, d, height, width) to the same."""
        b, _, height, width = x.shape
        query = self.norm_query(self.to_query(x)).view(b, self.h, self.k, -1)
        key = F.softmax(self.to_key(x).view(b, self.k, self.u, -1), dim=-1)
        value = self.norm_value(self.to_value(x)).view(b, self.u, self.v, -1)
        content = torch.einsum("bkum,buvm->bkv", key, value)
        out = torch.einsum("bhkn,bkv->bhvn", query, content)
        positions = self.position(value.view(b, self.u, self.v, height, width)).view(b, self.k, self.v, -1)
        out = out + torch.einsum("bhkn,bkvn->bhvn", query, positions)
        return out.reshape(b, -1, height, width)


def conv3d_form(case: Case) -> nn.Module:
    """d-li14's form; local only."""
    _want_2d(case)
    if case.r is None:
        raise Unable("windows only")
    return Conv3dForm(case)


def holocron(case: Case) -> nn.Module:
    """Holocron's LambdaLayer, where windowed (its global table is absolute, another function)."""
    _want_2d(case)
    if case.r is None:
        raise Unable("its global table is absolute")
    layer = importlib.import_module("holocron.nn.modules.lambda_layer").LambdaLayer
    return layer(case.d, case.d, case.k, r=case.r, num_heads=case.h, dim_u=case.u)


class Attention(nn.Module):
    """Multi-head attention without positions by `scaled_dot_product_attention`."""

    def __init__(self, case: Case):
        super().__init__()
        self.heads = case.h
        self.qkv = nn.Conv1d(case.d, 3 * case.d, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(b, d, *N) to the same."""
        # Contiguous, or it falls back to whole attention maps: half as fast, in twenty times the memory.
        flat = self.qkv(x.flatten(2)).unflatten(1, (3, self.heads, -1)).transpose(-1, -2).contiguous()
        out = F.scaled_dot_product_attention(flat[:, 0], flat[:, 1], flat[:, 2])
        return out.transpose(-1, -2).flatten(1, 2).unflatten(2, x.shape[2:])


def attention(case: Case) -> nn.Module:
    """Global attention without positions."""
    return Attention(case)


def botnet(case: Case) -> nn.Module:
    """Timm's BottleneckAttn: global attention with relative positions."""
    _want_2d(case)
    layer = importlib.import_module("timm.layers.bottleneck_attn").BottleneckAttn
    return layer(case.d, case.d, feat_size=case.size, num_heads=case.h)


def convolution(case: Case) -> nn.Module:
    """The 3-wide convolution that the layer replaces."""
    kinds = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
    return kinds[len(case.size)](case.d, case.d, 3, padding=1, bias=False)


def _embeddings(case: Case, copies: int = 1) -> str | None:
    """A sentence if the embeddings k·u·n·m of a global case (times copies, with gradient) are above the limit."""
    needed = 2 * copies * case.k * case.u * math.prod(case.size) ** 2 * 4
    return f"needs {needed / 2**30:.0f} GiB" if case.r is None and needed > MEMORY_LIMIT else None


def _attention_maps(case: Case) -> str | None:
    needed = case.b * case.h * math.prod(case.size) ** 2 * 4 * 3
    return "attention maps above the memory limit" if needed > MEMORY_LIMIT else None


def _positions(case: Case) -> str | None:
    return "takes minutes a step" if math.prod(case.size) > MOST_ATTENDED else None


CONTENDERS = (
    Contender("ours", ours, False, channels_last=True),
    Contender("lambda-networks", lambda_networks, True, too_large=_embeddings),
    Contender("timm", timm, True, too_large=lambda case: _embeddings(case, copies=max(1, case.b))),
    Contender("Conv3d form", conv3d_form, True),
    Contender("Holocron", holocron, True),
    Contender("SDPA", attention, False, too_large=_positions),
    Contender("BoTNet", botnet, False, too_large=_attention_maps),
    Contender("conv 3×3", convolution, False, channels_last=True),
)


def _want_2d(case: Case) -> None:
    if len(case.size) != 2:
        raise Unable("2-D maps only")
