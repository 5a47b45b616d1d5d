"""The Triton order on a GPU: agreement, the same bits every time, nothing large written, no waiting, CUDA graphs."""

import random

import pytest
import torch

from lambdanets.ops import Problem
from lambdanets.ops.impl import reference
from lambdanets.ops.impl import triton as order
from lambdanets.testing import relative_error, rounding

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")

ALL = (True, True, True)


def draw(problem, dtype, channels_last=False):
    """Query, value, table and the gradient of the output, on the GPU."""
    p = problem
    shapes = [
        (p.b, p.h, p.k, *p.query_size), (p.b, p.v, p.u, *p.query_size), (p.k, p.u, *p.scope),
        (p.b, p.h, p.v, *p.query_size),
    ]  # fmt: skip
    tensors = [torch.randn(shape, device="cuda").to(dtype) for shape in shapes]
    if channels_last:
        for i in (0, 1, 3):
            tensors[i] = tensors[i].movedim((1, 2), (-2, -1)).contiguous().movedim((-2, -1), (1, 2))
    return tensors


def by_reference(query, value, table, grad):
    """The reference's output and gradients, in the dtype of the inputs."""
    leaves = [tensor.detach().requires_grad_() for tensor in (query, value, table)]
    visible = torch.ones(1, 1, value.shape[3:].numel(), dtype=torch.bool, device="cuda")
    output = reference.apply(leaves[0], None, leaves[1], leaves[2], visible)
    return [output.detach(), *torch.autograd.grad(output, leaves, grad)]


def by_kernels(query, value, table, grad):
    return [order.forward(query, value, table), *order.backward(grad, query, value, table, ALL)]


def assert_agreement(tensors, dtype):
    exact = by_reference(*(tensor.double() for tensor in tensors))
    theirs, ours = by_reference(*tensors), by_kernels(*tensors)
    for what, mine, their, true in zip(("y", "dq", "dV", "dR"), ours, theirs, exact, strict=True):
        allowed = 2 * (relative_error(their, true) + rounding(dtype))
        error = relative_error(mine, true)
        assert error <= allowed, f"{what} {dtype}: rms error {error:.2e}, allowed {allowed:.2e}"


def drawn_problem(seed):
    """Small, of odd sizes; each is a kernel of its own to compile, so that a test is one of them and not many."""
    pick = random.Random(seed)
    letters = {letter: pick.randint(1, most) for letter, most in (("b", 5), ("h", 8), ("k", 20), ("v", 80))}
    size = pick.choice([(1, 60), (1, 1), (40,), (7, 7), (14, 13), (9, 20), (16, 16)])
    scope = tuple(2 * pick.randint(0, side) + 1 for side in size)
    u = pick.choice([1, 1, 2, 4, 5])
    return Problem(**letters, u=u, query_size=size, context_size=size, scope=scope, device="cuda")


@pytest.mark.parametrize("seed", range(60))
def test_drawn_problems_agree(seed):
    dtype = (torch.float32, torch.bfloat16, torch.float16)[seed % 3]
    assert_agreement(draw(drawn_problem(seed), dtype, channels_last=seed % 2 == 1), dtype)


SIZES = {"b": 8, "h": 4, "k": 16, "v": 64, "query_size": (32, 32), "context_size": (32, 32), "scope": (23, 23)}


def test_strided_inputs_agree():
    tensors = draw(Problem(**{**SIZES, "query_size": (16, 30), "context_size": (16, 30)}), torch.float32)
    tensors = [tensor[..., ::2] if i != 2 else tensor for i, tensor in enumerate(tensors)]
    assert_agreement(tensors, torch.float32)


def test_equal_inputs_give_equal_bits_on_two_streams():
    tensors = draw(Problem(**SIZES), torch.bfloat16)
    wanted = by_kernels(*tensors)
    torch.cuda.synchronize()
    streams, results = [torch.cuda.Stream(), torch.cuda.Stream()], []
    for _ in range(10):
        for stream in streams:
            with torch.cuda.stream(stream):
                results.append(by_kernels(*tensors))
    torch.cuda.synchronize()
    for result in results:
        assert all(torch.equal(got, want) for got, want in zip(result, wanted, strict=True))


def test_no_lambdas_and_no_scores_are_written():
    p = Problem(**SIZES)
    tensors = draw(p, torch.bfloat16, channels_last=True)
    results = by_kernels(*tensors)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    output = order.forward(*tensors[:3])
    peak = torch.cuda.max_memory_allocated() - before - output.nbytes
    assert peak < p.b * p.n * p.k * p.v * p.itemsize / 8
    assert len(results) == 4


def test_the_host_never_waits():
    tensors = draw(Problem(**SIZES), torch.bfloat16)
    by_kernels(*tensors)
    torch.cuda.set_sync_debug_mode("error")
    try:
        by_kernels(*tensors)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_cuda_graph_replays_it():
    tensors = draw(Problem(**SIZES), torch.bfloat16)
    by_kernels(*tensors)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = by_kernels(*tensors)
    tensors[0].mul_(2)
    graph.replay()
    torch.cuda.synchronize()
    assert all(torch.equal(got, want) for got, want in zip(captured, by_kernels(*tensors), strict=True))
