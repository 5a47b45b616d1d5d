"""Global self-attention with two-dimensional relative positions (Bello et al. 2019, arXiv 1904.09925, section 3.1).

Letters: b batch, n query and m context positions (a map of y rows and x columns), h heads, k key depth, v value depth.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lambdanets.layers.attention.heads import as_heads, as_map, check_heads, check_map, check_numbers
from lambdanets.layers.attention.relative_embeddings import RelativeEmbeddings
from lambdanets.layers.projection import Affine, Projection, project


class RelativeAttention(nn.Module):
    """Maps (b, dim, *N) to (b, dim_out, *N / stride); stores h·n² weights for every image of the batch.

        y_n = W_O · Σ_m softmax_m((q_n·k_m + q_n·Rʸ[m_y − n_y] + q_n·Rˣ[m_x − n_x]) / √k) v_m

    Args:
        dim: channels of the input.
        dim_out: channels of the output, divisible by num_heads; None: dim.
        size: rows and columns of the map that all offsets have embeddings for. On larger maps those beyond read the
            outermost, see `RelativeEmbeddings`; any map is taken.
        dim_key: k, depth of the queries and keys of a head; None: dim_out / num_heads.
        num_heads: h; they share the embeddings.
        stride: above 1, a 3 × 3 average pool of this stride follows the layer, as after a lambda layer.

    Raises:
        ValueError: an option out of range, or maps of other channels; the message says what to use.
    """

    def __init__(
        self,
        dim: int,
        dim_out: int | None = None,
        *,
        size: Sequence[int],
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
        rows, columns = size
        self.rows, self.columns = RelativeEmbeddings(rows, dim_key), RelativeEmbeddings(columns, dim_key)
        self.pool = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else nn.Identity()

    def forward(self, x: Float[Tensor, "b d y x"]) -> Float[Tensor, "b c y2 x2"]:
        """The layer's output; channels_last is kept."""
        check_map(x, self.dim)
        weights = (self.to_query.weight, self.to_key.weight, self.to_value.weight)
        query, key, value = (as_heads(maps, self.num_heads) for maps in project(x, *map(Affine, weights)))
        query = query * query.shape[-1] ** -0.5
        positions = self.position_logits(query, x.shape[2:])
        heads = F.scaled_dot_product_attention(query, key, value, attn_mask=positions, scale=1.0)
        return self.pool(as_map(as_heads(self.to_output(as_map(heads, x)), 1), x))

    def position_logits(self, query: Float[Tensor, "b h n k"], size: Sequence[int]) -> Float[Tensor, "b h n m"]:
        """q_n·Rʸ[m_y − n_y] + q_n·Rˣ[m_x − n_x] on a map of this size."""
        on_map = query.unflatten(2, tuple(size))
        of_rows = torch.einsum("bhyxk,yik->bhyxi", on_map, self.rows(size[0]).to(query.dtype))
        of_columns = torch.einsum("bhyxk,xjk->bhyxj", on_map, self.columns(size[1]).to(query.dtype))
        return (of_rows[..., :, None] + of_columns[..., None, :]).flatten(4).flatten(2, 3)
