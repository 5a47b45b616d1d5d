"""The registered operator: one graph over all sizes, right layouts, and PyTorch's own checks of it."""

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from lambdanets import apply_lambdas
from lambdanets.ops.contracts import position, position_backward
from lambdanets.ops.layout import in_layout, is_channels_last


def tensors(size=(5, 6), b=2, u=1, dtype=torch.float32):
    query = torch.randn(b, 2, 3, *size, dtype=dtype, requires_grad=True)
    value = torch.randn(b, 4, u, *size, dtype=dtype, requires_grad=True)
    table = torch.randn(3, u, *[3] * len(size), dtype=dtype, requires_grad=True)
    return query, value, table


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # opcheck reads it itself
@pytest.mark.parametrize("size", [(9,), (5, 6)], ids=["1d", "2d"])
def test_pytorch_checks_the_operator(size):
    query, value, table = tensors(size)
    torch.library.opcheck(position, (query, value, table, "auto"))
    with torch.no_grad():
        grad = position(query, value, table, "auto")
    torch.library.opcheck(position_backward, (grad, query, value, table, "auto", [True, False, True]))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("b", [1, 2])
def test_output_and_gradients_keep_the_layout(b, channels_last):
    query, value, table = tensors(b=b)
    query, value = (in_layout(t.detach(), channels_last).requires_grad_() for t in (query, value))
    key = torch.randn(b, 3, 1, 5, 6)
    output = apply_lambdas(query, key, value, table)
    assert is_channels_last(output) == channels_last
    output.backward(torch.randn(b, 5, 6, 2, 4).movedim((3, 4), (1, 2)))
    for tensor in (query, value):  # the stride of a batch of one says nothing
        assert tensor.grad.stride()[b == 1 :] == tensor.stride()[b == 1 :]
    assert table.grad.is_contiguous()


def test_one_graph_for_all_sizes():
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(apply_lambdas, fullgraph=True, dynamic=True, backend=counter)
    for side in (8, 9, 16, 33, 64):
        query, value, table = tensors((side, side + 1))
        key = torch.randn(2, 3, 1, side, side + 1)
        got, wanted = compiled(query, key, value, table), apply_lambdas(query, key, value, table)
        torch.testing.assert_close(got, wanted)
        got.sum().backward()
        if side == 8:
            graphs = counter.frame_count
    assert counter.frame_count == graphs


def test_a_wider_table_keeps_its_dtype():
    query, value, _ = tensors(dtype=torch.bfloat16)
    table = torch.randn(3, 1, 3, 3, requires_grad=True)
    output = apply_lambdas(query, None, value, table)
    output.float().sum().backward()
    assert (output.dtype, table.grad.dtype, query.grad.dtype) == (torch.bfloat16, torch.float32, torch.bfloat16)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_casts_outside_and_sums_in_fp32(dtype):
    query, value, table = tensors((16, 16))
    key = torch.full((2, 3, 1, 16, 16), 50000.0)  # exp of it is not a number in fp16, nor its sum
    with torch.autocast("cpu", dtype):
        output = apply_lambdas(query, key, value, table)
        output.float().square().sum().backward()
    assert output.dtype == dtype
    wanted = apply_lambdas(query, key, value, table)
    assert (output - wanted).abs().max() < 0.02 * wanted.abs().max()
    assert all(t.grad.isfinite().all() for t in (query, value, table))


@pytest.mark.parametrize("pair_mask", ["explicit", "causal"])
def test_a_compiled_named_order_still_refuses_masks(pair_mask):
    query, value, table = tensors((9,))
    key = torch.randn(2, 3, 1, 9)
    mask = "causal" if pair_mask == "causal" else torch.rand(9, 9) < 0.5

    def call(query):
        return apply_lambdas(query, key, value, table, pair_mask=mask, normalize_keys="l2", impl="dense")

    with pytest.raises(Exception, match="cannot compute this problem"):
        torch.compile(call, fullgraph=True, backend="eager")(query)
    automatic = torch.compile(
        lambda q: apply_lambdas(q, key, value, table, pair_mask=mask, normalize_keys="l2"), backend="eager"
    )
    wanted = apply_lambdas(query, key, value, table, pair_mask=mask, normalize_keys="l2", impl="reference")
    torch.testing.assert_close(automatic(query), wanted)


@pytest.mark.parametrize("impl", ["reference", "content only"])
def test_functional_transforms(impl):
    """PyTorch gives registered operators no functorch rules: torch.func needs the reference, or no table."""
    query, value, table = (t.detach() for t in tensors())
    key = torch.randn(2, 3, 1, 5, 6)

    def call(q):
        if impl == "reference":
            return apply_lambdas(q, key, value, table, impl=impl).sum()
        return apply_lambdas(q, key, value, None).sum()

    leaf = query.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(call(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(call)(query), wanted)
