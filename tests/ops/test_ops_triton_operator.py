"""The Triton order behind the registered operator: what PyTorch traces of it for a GPU that is not there."""

from importlib.util import find_spec

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch._subclasses import FakeTensorMode

from lambdanets import apply_lambdas, explain
from lambdanets.ops.contracts import position_backward
from lambdanets.ops.layout import in_layout, is_channels_last

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


def tensors(device, dtype=torch.bfloat16, requires_grad=False):
    """Query and value with their channels fastest in memory, a key, and a table in fp32."""
    shapes = {"query": (2, 4, 16, 8, 9), "key": (2, 16, 1, 8, 9), "value": (2, 64, 1, 8, 9), "table": (16, 1, 5, 5)}
    drawn = {name: torch.empty(shape, device=device, dtype=dtype) for name, shape in shapes.items()}
    drawn = {**drawn, "query": in_layout(drawn["query"], True), "value": in_layout(drawn["value"], True)}
    drawn["table"] = drawn["table"].float()
    return [tensor.requires_grad_(requires_grad) for tensor in drawn.values()]


def test_a_traced_call_on_a_gpu_has_the_shapes_of_the_real_one():
    with FakeTensorMode():
        output = apply_lambdas(*tensors("cuda:0"), impl="triton")
    assert output.shape == (2, 4, 64, 8, 9)
    assert (output.dtype, output.device) == (torch.bfloat16, torch.device("cuda:0"))
    assert is_channels_last(output)


def test_a_traced_backward_on_a_gpu_has_the_shapes_of_the_real_one():
    with FakeTensorMode():
        query, _, value, table = tensors("cuda:0")
        grad = query.new_empty(2, 8 * 9 * 4, 64)
        gradients = position_backward(grad, query, value, table, "triton", [True, True, True])
        for gradient, tensor in zip(gradients, (query, value, table), strict=True):
            assert gradient.shape == tensor.shape
            assert (gradient.dtype, gradient.device) == (tensor.dtype, tensor.device)
            assert gradient.stride() == tensor.stride()


@pytest.mark.parametrize("impl", ["triton", "auto"])
def test_a_gpu_call_compiles_to_one_graph(impl):
    counter = CompileCounter()
    with FakeTensorMode():
        compiled = torch.compile(apply_lambdas, fullgraph=True, backend=counter)
        assert compiled(*tensors("cuda:0"), impl=impl).shape == (2, 4, 64, 8, 9)
    assert counter.frame_count == 1


def test_meta_tensors_are_taken_for_nothing_is_computed_of_them():
    inputs = tensors("meta", requires_grad=True)
    output = apply_lambdas(*inputs, impl="triton")
    gradients = torch.autograd.grad(output.float().sum(), inputs)
    assert [gradient.shape for gradient in gradients] == [tensor.shape for tensor in inputs]


def test_explain_of_a_gpu_call_lists_it_as_able():
    with FakeTensorMode():
        explanation = explain(*tensors("cuda:0"))
    line = next(line for line in str(explanation).splitlines() if line.startswith("triton"))
    assert line.endswith("yes")
    assert "no times of a GPU are known: triton's are assumed" in str(explanation)
    assert explanation.problem.device == "cuda"
