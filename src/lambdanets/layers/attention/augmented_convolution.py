"""The attention-augmented convolution (Bello et al. 2019, arXiv 1904.09925, section 3.2), the layer of AA-ResNet.

Letters: b batch, d channels, h heads, k key depth, v value depth.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lambdanets.layers.attention.heads import check_map, check_numbers
from lambdanets.layers.attention.relative_attention import RelativeAttention


class AugmentedConvolution(nn.Module):
    """Maps (b, dim, *N) to (b, dim_out, *ceil(N / stride)): some channels by convolution, the others by attention.

        y = concatenate(3 × 3 convolution of x, dim_out − h·v channels; relative attention of x, h·v channels)

    Args:
        dim: channels of the input.
        dim_out: channels of the output; None: dim.
        size: rows and columns of the map that the attention sees, see `RelativeAttention`.
        dim_key: k, depth of the queries and keys of a head.
        dim_value: v, depth of the values of a head; h·v must leave the convolution a channel.
        num_heads: h.
        stride: of the convolution; attention sees the input behind a 3 × 3 average pool of this stride.
        coarse: attention sees a map of half the sides, behind one more such pool, and its output is enlarged
            bilinearly: how AA-ResNet augments its finest maps.

    Raises:
        ValueError: an option out of range, or maps of other channels; the message says what to use.
    """

    def __init__(
        self,
        dim: int,
        dim_out: int | None = None,
        *,
        size: Sequence[int],
        dim_key: int,
        dim_value: int,
        num_heads: int = 8,
        stride: int = 1,
        coarse: bool = False,
    ):
        super().__init__()
        dim_out = dim if dim_out is None else dim_out
        check_numbers(
            dim=dim, dim_out=dim_out, dim_key=dim_key, dim_value=dim_value, num_heads=num_heads, stride=stride
        )
        attended = num_heads * dim_value
        if attended >= dim_out:
            raise ValueError(
                f"got dim_value={dim_value} and num_heads={num_heads} for dim_out={dim_out}, which leaves the "
                "convolution no channel; give fewer, or use RelativeAttention"
            )
        self.dim = dim
        self.convolution = nn.Conv2d(dim, dim_out - attended, 3, stride, padding=1, bias=False)
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out", nonlinearity="relu")
        pools = [nn.AvgPool2d(3, step, padding=1) for step in (stride, 2 if coarse else 1) if step > 1]
        self.pool = nn.Sequential(*pools)
        self.attention = RelativeAttention(dim, attended, size=size, dim_key=dim_key, num_heads=num_heads)

    def forward(self, x: Float[Tensor, "b d y x"]) -> Float[Tensor, "b c y2 x2"]:
        """The layer's output, the convolution's channels first."""
        check_map(x, self.dim)
        convolved = self.convolution(x)
        attended = self.attention(self.pool(x))
        if attended.shape[2:] != convolved.shape[2:]:
            attended = F.interpolate(attended, convolved.shape[2:], mode="bilinear", align_corners=False)
        return torch.cat((convolved, attended.to(convolved.dtype)), dim=1)
