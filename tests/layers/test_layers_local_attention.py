"""Local attention against timm's, and its two ways of computing against each other."""

import pytest
import torch
from timm.layers.halo_attn import HaloAttn

from lambdanets.layers.attention import LocalAttention

DIM, HEADS = 8, 2


def test_local_attention_is_timm_s_where_no_window_leaves_the_map():
    """HaloAttn with blocks of one position and a halo of r // 2; beyond the map it attends to zeros."""
    torch.manual_seed(0)
    ours = LocalAttention(DIM, scope=3, num_heads=HEADS).double()
    theirs = HaloAttn(DIM, num_heads=HEADS, block_size=1, halo_size=1, dim_head=DIM // HEADS).double()
    theirs.scale = 1.0
    half = DIM // HEADS // 2
    with torch.no_grad():
        theirs.q.weight.copy_(ours.to_query.weight[..., None, None])
        by_head = [part.weight.unflatten(0, (HEADS, -1)) for part in (ours.to_key, ours.to_value)]
        theirs.kv.weight.copy_(torch.cat(by_head, 1).flatten(0, 1)[..., None, None])
        for table in (theirs.pos_embed.height_rel, theirs.pos_embed.width_rel):
            table.zero_()
        theirs.pos_embed.height_rel[2:, :half] = ours.rows.table  # of its 2·3 − 1 entries a block of one reads the last
        theirs.pos_embed.width_rel[2:, half:] = ours.columns.table
    x = torch.randn(2, DIM, 5, 6, dtype=torch.float64)
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(ours(x)[inner], theirs(x)[inner], rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(6, 6), (3, 11), (1, 1)], ids=str)
def test_local_attention_by_masking_is_by_windows(size):
    torch.manual_seed(0)
    layer = LocalAttention(DIM, scope=5, num_heads=HEADS).double()
    maps = [torch.randn(2, DIM, *size, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    ways = [layer.by_masking(*maps), layer.by_windows(*maps)]
    torch.testing.assert_close(*ways, rtol=0, atol=1e-12)
    inputs = [*maps, layer.rows.table, layer.columns.table]
    for ours, theirs in zip(*(torch.autograd.grad(way.square().sum(), inputs) for way in ways), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
