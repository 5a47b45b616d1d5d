"""The package where Triton is not installed: it imports, says why the order is unable, and all else works."""

import subprocess
import sys

import pytest

HIDE = """
import importlib.machinery, sys

class WithoutTriton(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "triton" else super().find_spec(name, path, target)

sys.meta_path = [WithoutTriton if f is importlib.machinery.PathFinder else f for f in sys.meta_path]
try:
    import triton
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("triton is not hidden")
"""
"""The search of the module path as on a machine without Triton: nothing is found, nothing is raised."""

USE = """
import torch
import lambdanets
from lambdanets import LambdaLayer, apply_lambdas, create_model, explain
from lambdanets.cli import main
from lambdanets.ops import Problem

problem = Problem(b=2, v=8, query_size=(7, 9), context_size=(7, 9), scope=(5, 5), device="cuda")
print(next(line for line in str(explain(problem)).splitlines() if line.startswith("triton")))
assert main(["explain", "--map", "8x8", "--scope", "5", "--dim", "32"]) == 0

layer, x = LambdaLayer(16, scope=5), torch.randn(2, 16, 7, 9)
layer(x).sum().backward()
assert all(parameter.grad is not None for parameter in layer.parameters())
assert torch.compile(layer, fullgraph=True, backend="aot_eager")(x).shape == (2, 16, 7, 9)
assert create_model("lambda_tiny", num_classes=10, in_chans=1).eval()(torch.randn(1, 1, 32, 32)).shape == (1, 10)
try:
    LambdaLayer(16, scope=5, impl="triton")(x)
except ValueError as error:
    print("refused:", error)
assert "triton" not in {name.partition(".")[0] for name in sys.modules}
"""


@pytest.fixture(scope="module")
def said():
    """What a process without Triton prints; its warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HIDE + USE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_all_else_works_and_the_order_says_why_it_is_unable(said):
    assert said[0].startswith("triton")
    assert "no: Triton is not installed" in said[0]


def test_the_command_line_lists_it_as_unable_on_the_cpu(said):
    line = next(line for line in said[1:] if line.startswith("triton"))
    assert "no: the tensors are on cpu; its fused kernels need an NVIDIA GPU" in line


def test_it_is_refused_by_name_with_a_way_out(said):
    assert said[-1].startswith("refused: impl='triton' cannot compute this problem: the tensors are on cpu")
    assert "use one of auto, reference, dense" in said[-1]
