"""The Triton order without a GPU: what its kernels compute, by Triton's interpreter; what it says where unable."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from triton_cases import QUICK, SLOW

from lambdanets.ops import Problem
from lambdanets.ops.impl import triton as order
from lambdanets.ops.impl.triton.launches import LAUNCHES, find_launch

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")

PROBLEM = {"b": 2, "h": 4, "k": 16, "v": 8, "query_size": (8, 8), "context_size": (8, 8), "scope": (7, 7)}


def interpreted(names):
    """The errors of the named cases, by name, from one process."""
    script = Path(__file__).parent / "triton_cases.py"
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(script), *names],
        env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, f"after {[line['name'] for line in lines]}: {ran.stderr}"
    return {line["name"]: line["errors"] for line in lines}


@pytest.fixture(scope="module")
def quick_errors():
    return interpreted(QUICK)


@pytest.fixture(scope="module")
def slow_errors():
    return interpreted(SLOW)


@needs_triton
@pytest.mark.timeout(1800)  # the first of them runs all
@pytest.mark.parametrize("name", QUICK)
def test_kernels_are_as_exact_as_reference(quick_errors, name):
    for what, (error, allowed) in quick_errors[name].items():
        assert error <= allowed, f"{what}: rms error {error:.2e}, allowed {allowed:.2e}"


@needs_triton
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SLOW)
def test_kernels_are_as_exact_as_reference_in_every_case(slow_errors, name):
    for what, (error, allowed) in slow_errors[name].items():
        assert error <= allowed, f"{what}: rms error {error:.2e}, allowed {allowed:.2e}"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"device": "cpu"}, "the tensors are on cpu"),
        ({"dtype": torch.float64}, "not torch.float64"),
        ({"query_size": (4, 4, 4), "context_size": (4, 4, 4), "scope": (3, 3, 3)}, "1 or 2 map axes"),
        ({"k": 65}, "at most 64 of k, got 65"),
        ({"h": 17}, "at most 16 of h, got 17"),
        ({"u": 17}, "at most 16 of u, got 17"),
    ],
    ids=["device", "dtype", "axes", "keys", "heads", "depths"],
)
def test_it_says_why_it_is_unable(change, sentence):
    assert sentence in order.why_not(Problem(**{**PROBLEM, "device": "cuda", **change}))


@needs_triton
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [(40,), (7, 9)], ids=["1d", "2d"])
def test_it_is_able_on_a_gpu(size, dtype):
    problem = Problem(
        **{**PROBLEM, "query_size": size, "context_size": size, "scope": (7,) * len(size)}, device="cuda", dtype=dtype
    )
    assert order.why_not(problem) is None


def test_without_triton_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    assert "Triton is not installed" in order.why_not(Problem(**PROBLEM, device="cuda"))


def test_other_gpus_are_refused(monkeypatch):
    problem = Problem(**PROBLEM, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert "older than compute capability 8.0" in order.why_not(problem)
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert "AMD" in order.why_not(problem)


def test_triton_loads_only_with_the_first_kernel():
    code = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch, lambdanets; from lambdanets.ops.impl import triton as order\n"
        "from lambdanets.ops import Problem, apply_lambdas\n"
        "p = Problem(b=1, v=4, query_size=(5, 5), context_size=(5, 5), scope=(3, 3), device='cuda')\n"
        "print(order.why_not(p), order.cost(p, True).multiply_adds > 0)\n"
        "apply_lambdas(torch.ones(1, 2, 3, 5, 5), None, torch.ones(1, 4, 1, 5, 5), torch.ones(3, 1, 3, 3))\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "Triton is not installed" in printed
    assert "True" in printed


def test_cost_counts_the_box_of_a_tile_and_no_edges():
    """A global window over one tile: every pair of positions, tail positions of the tile included."""
    p = Problem(b=2, h=4, k=16, v=64, query_size=(4, 4), context_size=(4, 4), scope=(7, 7), device="cuda")
    applied = 2 * 16 * 4 * 16 * 64
    assert order.cost(p, False).multiply_adds == 2 * 16 * 16 * 16 * 64 + applied
    assert order.cost(p, True).multiply_adds > 3 * order.cost(p, False).multiply_adds - 1


@needs_triton
@pytest.mark.parametrize(("capability", "rows"), [((8, 6), 86), ((9, 0), 90), ((10, 0), 100), ((12, 0), 80)])
def test_launch_rows_fit_the_gpu(capability, rows, monkeypatch):
    from lambdanets.ops.impl.triton.run import built_in_for, capability_of

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    found = capability_of(SimpleNamespace(device=torch.device("cuda")))
    assert found == 10 * capability[0] + capability[1]
    assert built_in_for(found) == rows


@needs_triton
@pytest.mark.parametrize(
    ("change", "capability", "is_used"),
    [
        ({}, 86, True),
        ({}, 80, False),
        ({}, 90, False),
        ({"h": 8}, 86, False),
        ({"k": 32}, 86, False),
        ({"u": 2}, 86, False),
    ],
    ids=["as searched", "an older GPU", "a newer GPU", "heads", "keys", "depths"],
)
def test_rows_of_a_profile_are_used_where_they_were_searched_and_nowhere_else(change, capability, is_used, monkeypatch):
    """What fits one GPU, and one kind of layer, need not fit another."""
    from lambdanets.ops.impl.triton import run

    p = Problem(**{**PROBLEM, **change})
    found = tuple(replace(row, rows=16, architecture=86) for row in LAUNCHES if row.architecture == 80)
    query, value = torch.empty(2, p.h, p.k, 8, 8, device="meta"), torch.empty(2, 8, p.u, 8, 8, device="meta")
    table, taken = torch.empty(p.k, p.u, 7, 7, device="meta"), []
    monkeypatch.setattr(run, "capability_of", lambda tensor: capability)
    monkeypatch.setattr(run, "find_launch", lambda *asked: taken.append(asked) or find_launch(*asked))
    launched = order.Launched(found)
    output = launched.forward(query, value, table)
    launched.backward(output, query, value, table, (True, True, True))
    assert len(taken) == 4
    for _, architecture, _, _, rows in taken:
        assert (rows is found) == is_used
        assert architecture == capability
    at_gpu = Problem(**{**PROBLEM, **change, "device": "cuda"})
    assert (launched.cost(at_gpu, True) != order.cost(at_gpu, True)) == (not {"h", "k", "u"} & set(change))


def test_an_old_gpu_is_refused():
    with pytest.raises(ValueError, match=r"compute capability 7.5; .* wants 8.0 or newer"):
        find_launch("output", 75, 2, 64, LAUNCHES)
