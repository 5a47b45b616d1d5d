"""Local self-attention with relative positions (Ramachandran et al. 2019, arXiv 1906.05909, stand-alone attention).

Letters: b batch, n positions (a map of y rows and x columns), h heads, k depth of a head, w positions of a window.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lambdanets.layers.attention.heads import (
    as_heads,
    as_map,
    check_heads,
    check_map,
    check_numbers,
    mean_pool,
    softmax,
)
from lambdanets.layers.attention.relative_embeddings import RelativeEmbeddings
from lambdanets.layers.projection import Affine, Projection, project

FEW_WINDOWS = 6
"""Maps of at most so many times a window's positions are attended to whole, all but the window masked: then this takes
less memory than to lay keys and values out for every window, and less time."""


class LocalAttention(nn.Module):
    """Maps (b, dim, *N) to (b, dim_out, *ceil(N / stride)): every position attends to the r × r window around it.

        y_n = Σ_m softmax_m(q_n·k_m + q_n·[Rʸ[m_y − n_y], Rˣ[m_x − n_x]]) v_m      m in the window and on the map

    Args:
        dim: channels of the input.
        dim_out: channels of the output, divisible by num_heads, two a head or more; None: dim.
        scope: r, odd side of the window.
        num_heads: h; they share the embeddings. Half of a head's depth meets the row's embedding, half the column's.
        stride: above 1, a 2 × 2 average pool of this stride follows the layer, as in its paper.

    Raises:
        ValueError: an option out of range, or maps of other channels; the message says what to use.

    The logits are not divided by √k, as printed; instead W_Q is drawn with standard deviation (k·d)^-½. The paper does
    not say what a window is filled with beyond the map: here, nothing is attended to there.
    """

    def __init__(self, dim: int, dim_out: int | None = None, *, scope: int = 7, num_heads: int = 8, stride: int = 1):
        super().__init__()
        dim_out = dim if dim_out is None else dim_out
        check_numbers(dim=dim, dim_out=dim_out, scope=scope, num_heads=num_heads, stride=stride)
        check_heads("dim_out", dim_out, num_heads)
        depth = dim_out // num_heads
        if scope % 2 == 0:
            raise ValueError(f"got scope={scope}; the window's side must be odd: {scope + 1} is")
        if depth < 2:
            raise ValueError(
                f"got dim_out={dim_out} and num_heads={num_heads}: a head needs a channel for rows and one for "
                f"columns; take num_heads={max(1, dim_out // 2)} or fewer"
            )
        self.dim, self.num_heads, self.scope = dim, num_heads, scope
        self.to_query, self.to_key, self.to_value = (Projection(dim, dim_out) for _ in range(3))
        nn.init.normal_(self.to_query.weight, std=(depth * dim) ** -0.5)
        reach = scope // 2 + 1
        self.rows = RelativeEmbeddings(reach, depth - depth // 2)
        self.columns = RelativeEmbeddings(reach, depth // 2)
        self.pool = mean_pool(stride)

    def forward(self, x: Float[Tensor, "b d y x"]) -> Float[Tensor, "b c y2 x2"]:
        """The layer's output; channels_last is kept."""
        check_map(x, self.dim)
        weights = (self.to_query.weight, self.to_key.weight, self.to_value.weight)
        maps = project(x, *map(Affine, weights))
        is_small = x.shape[2] * x.shape[3] <= FEW_WINDOWS * self.scope**2
        heads = self.by_masking(*maps) if is_small else self.by_windows(*maps)
        return self.pool(as_map(heads, x))

    def by_masking(
        self,
        query_map: Float[Tensor, "b d y x"],
        key_map: Float[Tensor, "b d y x"],
        value_map: Float[Tensor, "b d y x"],
    ) -> Float[Tensor, "b h n k"]:
        """The heads' outputs from the weights of all pairs of positions, those outside a window zero."""
        size, device = query_map.shape[2:], query_map.device
        query, key, value = (as_heads(maps, self.num_heads) for maps in (query_map, key_map, value_map))
        on_map, half = query.unflatten(2, size), self.rows.table.shape[1]
        of_rows = torch.einsum("bhyxk,yik->bhyxi", on_map[..., :half], self.rows(size[0]).to(query.dtype))
        of_columns = torch.einsum("bhyxk,xjk->bhyxj", on_map[..., half:], self.columns(size[1]).to(query.dtype))
        positions = (of_rows[..., :, None] + of_columns[..., None, :]).flatten(4).flatten(2, 3)
        near_rows, near_columns = (near_pairs(side, self.scope, device) for side in size)
        near = (near_rows[:, None, :, None] & near_columns[None, :, None, :]).flatten(2).flatten(0, 1)
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=positions.masked_fill(~near, -torch.inf), scale=1.0
        )

    def by_windows(
        self,
        query_map: Float[Tensor, "b d y x"],
        key_map: Float[Tensor, "b d y x"],
        value_map: Float[Tensor, "b d y x"],
    ) -> Float[Tensor, "b h n k"]:
        """The heads' outputs from keys and values laid out for every window."""
        query = as_heads(query_map, self.num_heads).transpose(1, 2)  # (b, n, h, k)
        logits = torch.matmul(query[..., None, :], self.windows(key_map).mT)[..., 0, :] + self.position_logits(query)
        outside = ~windows_on_map(query_map.shape[2:], self.scope, query_map.device)
        weights = softmax(logits.masked_fill(outside[:, None], -torch.inf), dim=-1)
        return torch.matmul(weights[..., None, :], self.windows(value_map))[..., 0, :].transpose(1, 2)

    def windows(self, maps: Float[Tensor, "b d y x"]) -> Float[Tensor, "b n h w k"]:
        """What stands in the window around each position, zero beyond the map."""
        margin = self.scope // 2
        padded = F.pad(maps.movedim(1, -1), (0, 0, margin, margin, margin, margin))
        around = padded.unfold(1, self.scope, 1).unfold(2, self.scope, 1)  # (b, y, x, h·k, r, r), a view
        return around.flatten(4).flatten(1, 2).unflatten(2, (self.num_heads, -1)).mT

    def position_logits(self, query: Float[Tensor, "b n h k"]) -> Float[Tensor, "b n h w"]:
        """q_n·[Rʸ, Rˣ] for every offset of the window."""
        of_rows, of_columns = self.rows.table.to(query.dtype), self.columns.table.to(query.dtype)
        half = of_rows.shape[1]
        by_row = torch.matmul(query[..., :half], of_rows.mT)
        by_column = torch.matmul(query[..., half:], of_columns.mT)
        return (by_row[..., :, None] + by_column[..., None, :]).flatten(3)


def near_pairs(side: int, scope: int, device: torch.device) -> Bool[Tensor, "i j"]:
    """Which positions along an axis are in the window around each."""
    places = torch.arange(side, device=device)
    return (places - places[:, None]).abs() <= scope // 2


def windows_on_map(size: Sequence[int], scope: int, device: torch.device) -> Bool[Tensor, "n w"]:
    """Which places of the window around each position are on the map."""
    inside = []
    for side in size:
        places = torch.arange(side, device=device)[:, None] + torch.arange(scope, device=device) - scope // 2
        inside.append((places >= 0) & (places < side))
    rows, columns = inside
    return (rows[:, None, :, None] & columns[None, :, None, :]).flatten(2).flatten(0, 1)
