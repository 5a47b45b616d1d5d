"""Position-sensitive axial attention (Wang et al. 2020, Axial-DeepLab, arXiv 2003.07853, section 3.2).

Every position attends to its column, then every position to its row: b·h·n·√n weights each, in place of b·h·n².

Letters: b batch, i query and j context positions along an axis, h heads, k key depth, v value depth, d channels.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lambdanets.layers.attention.heads import check_heads, check_map, check_numbers, mean_pool, softmax
from lambdanets.layers.attention.relative_embeddings import RelativeEmbeddings
from lambdanets.layers.projection import Projection
from lambdanets.ops.layout import in_layout, is_channels_last


class AxialAttention(nn.Module):
    """Maps (b, dim, *N) to (b, dim_out, *ceil(N / stride)): attention along columns, then along rows.

    Args:
        dim: channels of the input.
        dim_out: channels of the output, divisible by num_heads; None: dim.
        size: rows and columns of the map that all offsets have embeddings for; any map is taken, see
            `RelativeEmbeddings`.
        num_heads: h.
        stride: above 1, a 2 × 2 average pool of this stride follows the layer, as in Axial-DeepLab.

    Raises:
        ValueError: an option out of range, or maps of other channels; the message says what to use.
    """

    def __init__(
        self,
        dim: int,
        dim_out: int | None = None,
        *,
        size: Sequence[int],
        num_heads: int = 8,
        stride: int = 1,
    ):
        super().__init__()
        dim_out = dim if dim_out is None else dim_out
        check_numbers(dim=dim, dim_out=dim_out, num_heads=num_heads, stride=stride)
        check_heads("dim_out", dim_out, num_heads)
        self.dim = dim
        rows, columns = size
        self.along_columns = AttentionAlongAxis(dim, dim_out, side=rows, num_heads=num_heads)
        self.along_rows = AttentionAlongAxis(dim_out, dim_out, side=columns, num_heads=num_heads)
        self.pool = mean_pool(stride)

    def forward(self, x: Float[Tensor, "b d y x"]) -> Float[Tensor, "b c y2 x2"]:
        """The layer's output; channels_last is kept."""
        check_map(x, self.dim)
        attended = self.along_rows(self.along_columns(x, axis=2), axis=3)
        return self.pool(in_layout(attended[:, None], is_channels_last(x[:, None]))[:, 0])


class AttentionAlongAxis(nn.Module):
    """Attention of each position to those that share its other coordinate, positions known to query, key and value.

        y_i = Σ_j softmax_j((q_i·k_j + q_i·R^q[j − i] + k_j·R^k[j − i]) / √k) (v_j + R^v[j − i])

    Args:
        dim: channels of the input.
        dim_out: channels of the output.
        side: of the axis that all offsets have embeddings for.
        num_heads: h; they share the embeddings. Of a head's v = dim_out / h, queries and keys have the half, k.

    Queries, keys and values are normalised over the batch (BatchNorm), as in Axial-DeepLab. Its norms of the logits
    and of the two parts of the output are left out; the logits are divided by √k instead.
    """

    def __init__(self, dim: int, dim_out: int, *, side: int, num_heads: int):
        super().__init__()
        self.num_heads, self.dim_value = num_heads, dim_out // num_heads
        self.dim_key = max(1, self.dim_value // 2)
        self.to_all = Projection(dim, num_heads * (2 * self.dim_key + self.dim_value))
        self.norm = nn.BatchNorm2d(self.to_all.dim_out)
        self.of_query, self.of_key, self.of_value = (
            RelativeEmbeddings(side, depth, std=self.dim_value**-0.5)
            for depth in (self.dim_key, self.dim_key, self.dim_value)
        )

    def forward(self, x: Float[Tensor, "b d y x"], axis: int) -> Float[Tensor, "b c y x"]:
        """The attended map, along axis 2 (columns) or 3 (rows) of x."""
        maps = self.norm(self.to_all(x)).movedim((5 - axis, axis), (1, 2)).unflatten(-1, (self.num_heads, -1))
        query, key, value = maps.transpose(2, 3).split((self.dim_key, self.dim_key, self.dim_value), -1)
        side, dtype = x.shape[axis], query.dtype
        query = query * self.dim_key**-0.5  # (b, other, h, i, k)
        key_scaled = key * self.dim_key**-0.5
        logits = torch.matmul(query, key.mT)
        logits = logits + torch.einsum("bohik,ijk->bohij", query, self.of_query(side).to(dtype))
        logits = logits + torch.einsum("bohjk,ijk->bohij", key_scaled, self.of_key(side).to(dtype))
        weights = softmax(logits, dim=-1)
        attended = torch.matmul(weights, value)
        attended = attended + torch.einsum("bohij,ijv->bohiv", weights, self.of_value(side).to(dtype))
        return attended.transpose(2, 3).flatten(3).movedim((1, 2), (5 - axis, axis))
