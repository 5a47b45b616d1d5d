"""Efficient attention (Shen et al. 2018, arXiv 1812.01243): linear in the number of positions, blind to their places.

Letters: b batch, n positions, h heads, k key depth, v value depth, d channels.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lambdanets.layers.attention.heads import as_heads, as_map, check_heads, check_map, check_numbers, softmax
from lambdanets.layers.projection import Affine, Projection, project


class LinearAttention(nn.Module):
    """Maps (b, dim, *N) to (b, dim_out, *N / stride): every position reads one summary of the map, k × v a head.

        G = Σ_m softmax_m(K)_m V_mᵀ        y_n = W_O · Gᵀ softmax_k(q_n)

    Args:
        dim: channels of the input.
        dim_out: channels of the output, divisible by num_heads; None: dim.
        dim_key: k, depth of the queries and keys of a head; None: dim_out / num_heads.
        num_heads: h.
        stride: above 1, a 3 × 3 average pool of this stride follows the layer, as after a lambda layer.

    Raises:
        ValueError: an option out of range, or maps of other channels; the message says what to use.

    Where we differ from the authors' module: no biases (that of the keys would have no effect), and no sum with the
    input, for the bottleneck around the layer has a shortcut of its own.
    """

    def __init__(
        self,
        dim: int,
        dim_out: int | None = None,
        *,
        dim_key: int | None = None,
        num_heads: int = 8,
        stride: int = 1,
    ):
        super().__init__()
        dim_out = dim if dim_out is None else dim_out
        check_numbers(dim=dim, dim_out=dim_out, num_heads=num_heads, stride=stride)
        check_heads("dim_out", dim_out, num_heads)
        dim_key = dim_out // num_heads if dim_key is None else dim_key
        check_numbers(dim_key=dim_key)
        self.dim, self.num_heads = dim, num_heads
        self.to_query = Projection(dim, num_heads * dim_key)
        self.to_key = Projection(dim, num_heads * dim_key)
        self.to_value = Projection(dim, dim_out)
        self.to_output = Projection(dim_out, dim_out)
        self.pool = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else nn.Identity()

    def forward(self, x: Float[Tensor, "b d y x"]) -> Float[Tensor, "b c y2 x2"]:
        """The layer's output; channels_last is kept."""
        check_map(x, self.dim)
        weights = (self.to_query.weight, self.to_key.weight, self.to_value.weight)
        query, key, value = (as_heads(maps, self.num_heads) for maps in project(x, *map(Affine, weights)))
        summary = torch.matmul(softmax(key, dim=2).mT, value)  # (b, h, k, v)
        heads = torch.matmul(softmax(query, dim=3), summary)
        return self.pool(as_map(as_heads(self.to_output(as_map(heads, x)), 1), x))
