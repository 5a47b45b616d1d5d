"""Maps as the heads of an attention layer and back, and what sizes such a layer takes.

Letters: b batch, y rows and x columns of a map, n its positions, h heads, k depth of a head, d channels (= h·k).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lambdanets.ops.layout import in_layout, is_channels_last
from lambdanets.ops.precision import at_least_fp32, own_precision


def as_heads(maps: Float[Tensor, "b d y x"], num_heads: int) -> Float[Tensor, "b h n k"]:
    """The channels of each position, h heads of k; a view where channels vary fastest."""
    return maps.flatten(2).mT.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def as_map(heads: Float[Tensor, "b h n k"], x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d y x"]:
    """The map of the heads' outputs, of the sides of x, lying in memory as x does.

    It goes through one axis, for a batch of one must have the strides of any other: BatchNorm looks at them.
    """
    rows = heads.transpose(1, 2).flatten(2)
    maps = rows.flatten().view(x.shape[0], *x.shape[2:], rows.shape[-1]).movedim(-1, 1)
    return in_layout(maps[:, None], is_channels_last(x[:, None]))[:, 0]


def softmax(logits: Tensor, dim: int) -> Tensor:
    """Softmax along an axis, summed in fp32 or wider and given back in the dtype of the logits."""
    with own_precision(logits.device.type):
        return torch.softmax(logits, dim, dtype=at_least_fp32(logits.dtype)).to(logits.dtype)


def mean_pool(stride: int) -> nn.Module:
    """The 2 × 2 mean after a layer of stride 2; of an odd side the last window is smaller. Stride 1: nothing."""
    if stride == 1:
        return nn.Identity()
    return nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)


def check_numbers(**numbers: int) -> None:
    """ValueError unless every number is whole and 1 or more."""
    for name, number in numbers.items():
        if type(number) is not int or number < 1:
            raise ValueError(f"got {name}={number!r}; want a whole number, 1 or more")


def check_heads(name: str, channels: int, num_heads: int) -> None:
    """ValueError unless the heads share the channels, naming the nearest number of heads that would."""
    if channels % num_heads:
        fitting = [h for h in range(1, min(channels, 64) + 1) if channels % h == 0]
        nearest = min(fitting, key=lambda h: abs(h - num_heads))
        raise ValueError(
            f"got {name}={channels} and num_heads={num_heads}; the heads must divide it: num_heads={nearest} does"
        )


def check_map(x: Tensor, dim: int) -> None:
    """ValueError unless x is a batch of maps of `dim` channels, of no empty side."""
    if x.ndim != 4 or x.shape[1] != dim or 0 in x.shape:
        raise ValueError(
            f"got x of shape {tuple(x.shape)}; want (batch, {dim}, rows, columns), every side 1 or more: "
            "reshape it, or build the layer with that dim"
        )
