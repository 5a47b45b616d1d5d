"""The networks on padded maps: what a map's visible part becomes does not depend on the padding around it.

A batch of images of several sizes is padded to one size; `visible` (b, y, x) says which positions are image. Here
every hidden position is zero before anything looks at its neighbours. So a convolution or a pool sees at the edge of
an image the zeros that it would see at the edge of a map, means and BatchNorm's statistics are taken over visible
positions, and lambda layers get them as their context. It holds for images in the upper left corner of the map.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from lambdanets.layers import LambdaLayer, SqueezeExcite, attention
from lambdanets.layers.masked_norm import normalize_by_batch
from lambdanets.models.blocks import Bottleneck

UNAWARE = (
    attention.LinearAttention,
    attention.RelativeAttention,
    attention.AugmentedConvolution,
    attention.AxialAttention,
    attention.LocalAttention,
)
"""Layers that would take padding for image: the baselines are for comparisons on images of one size."""

Padded = tuple[Tensor, Tensor]
"""A map (b, d, *N) that is zero where hidden, and what is visible (b, *N)."""


def padded(part: nn.Module, x: Float[Tensor, "b d y x"], visible: Bool[Tensor, "b y x"]) -> Padded:
    """The map and the visible positions behind a part of a network; x is zero where hidden, and so is the result.

    Raises ValueError for an attention layer, to which positions cannot be hidden.
    """
    if isinstance(part, nn.Sequential):
        for child in part:
            x, visible = padded(child, x, visible)
        return x, visible
    if isinstance(part, Bottleneck):
        return padded_bottleneck(part, x, visible)
    if isinstance(part, _BatchNorm):
        return padded_norm(part, x, visible), visible
    if isinstance(part, nn.AvgPool2d):
        return padded_mean_pool(part, x, visible)
    if isinstance(part, LambdaLayer):
        seen = visible if isinstance(part.pool, nn.Identity) else halved(visible, _stride(part.pool))
        return part(x, context_mask=visible).masked_fill(~seen[:, None], 0), seen
    if isinstance(part, UNAWARE):
        raise ValueError(
            f"a {type(part).__name__} takes padding for image; give images of one size (a detector: in multiples of 32 "
            "pixels), or take a network of convolutions and lambda layers."
        )
    if isinstance(part, nn.Conv2d | nn.MaxPool2d):
        return _hide(part(x), halved(visible, _stride(part)))
    return part(x), visible  # of the rest, ReLU and identities, each keeps zeros


def halved(visible: Bool[Tensor, "b y x"], stride: int = 2) -> Bool[Tensor, "b y2 x2"]:
    """What is visible of the map behind a step of this stride: of n positions in a row, ceil(n / stride)."""
    return visible[:, ::stride, ::stride]


def padded_bottleneck(block: Bottleneck, x: Tensor, visible: Tensor) -> Padded:
    """`block(x)` on a padded map: the same parts in the same order."""
    branch = F.relu(padded_norm(block.norm_reduce, block.reduce(x), visible), inplace=True)
    branch, seen = padded(block.mixer, branch, visible)
    branch = F.relu(padded_norm(block.norm_mixer, branch, seen), inplace=True)
    branch = padded_norm(block.norm_expand, block.expand(branch), seen)
    if isinstance(block.squeeze_excite, SqueezeExcite):
        branch = block.squeeze_excite(branch, visible=seen)
    shortcut, _ = padded(block.shortcut, x, visible)
    return F.relu(block.drop_path(branch) + shortcut, inplace=True), seen


def padded_norm(norm: nn.Module, x: Tensor, visible: Tensor) -> Tensor:
    """`norm(x)` where visible, zero elsewhere; a norm that looks at the batch looks at what is visible of it."""
    if isinstance(norm, _BatchNorm) and (norm.training or norm.running_mean is None):
        normed = normalize_by_batch(norm, x, visible)
    else:
        normed = norm(x)
    return _hide(normed, visible)[0]


def padded_mean_pool(pool: nn.AvgPool2d, x: Tensor, visible: Tensor) -> Padded:
    """The mean over what is visible in each window, as a pool that leaves its own padding out of the mean."""
    share = pool(visible[:, None].to(x.dtype)).clamp(min=torch.finfo(x.dtype).tiny)
    return pool(x) / share, halved(visible, _stride(pool))


def _stride(part: nn.Module) -> int:
    """The stride of a convolution or pool, the same along both axes."""
    stride: int | tuple[int, int] = part.stride  # pyright: ignore[reportAssignmentType]
    return stride if isinstance(stride, int) else stride[0]


def _hide(x: Tensor, visible: Tensor) -> Padded:
    """The map, zero where hidden; in place, for nothing before keeps what it gave."""
    return x.masked_fill_(~visible[:, None], 0), visible
