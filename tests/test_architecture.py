"""The arrows between rooms hold, and importing does nothing but import."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "lambdanets"
READS_ENVIRONMENT = {"training/distributed.py"}  # beside the command line

PROBE = """
import contextlib, io, json, sys
said = io.StringIO()
with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
    {statement}
torch = sys.modules.get("torch")
started = torch is not None and torch.cuda.is_initialized()
print(json.dumps({{"loaded": sorted(sys.modules), "said": said.getvalue(), "cuda": started}}))
"""


def in_fresh_process(statement):
    """What a new process has loaded, said and started after one statement; a warning is an error."""
    command = [sys.executable, "-W", "error", "-c", PROBE.format(statement=statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_arrows_between_rooms_hold():
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import lambdanets", {"torch", "numpy", "timm", "torchvision", "triton", "matplotlib", "sklearn", "rich"}),
        ("import lambdanets.cli", {"torch", "numpy", "timm", "torchvision", "matplotlib", "sklearn"}),
        ("import lambdanets.ops", {"timm", "torchvision", "matplotlib", "sklearn", "triton", "lambdanets.layers"}),
        (
            "from lambdanets import LambdaLayer, apply_lambdas, create_model, explain",
            {"timm", "torchvision", "matplotlib", "sklearn", "triton", "lambdanets.training", "lambdanets.data"},
        ),
    ],
    ids=["package", "command-line", "ops", "public-names"],
)
def test_importing_loads_little_and_says_nothing(statement, unwanted):
    seen = in_fresh_process(statement)
    assert unwanted.isdisjoint(seen["loaded"])
    assert seen["said"] == ""
    assert not seen["cuda"]


def test_every_public_name_has_a_home():
    import lambdanets

    assert set(lambdanets.__all__) <= set(dir(lambdanets))
    assert all(callable(getattr(lambdanets, name)) for name in lambdanets.__all__)
    with pytest.raises(AttributeError, match="LambdaLayer"):
        lambdanets.LambdaLayr  # noqa: B018 - looking it up is the test


def test_environment_variables_are_read_at_the_door_only():
    readers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"})
        or (isinstance(node, ast.alias) and node.name in {"environ", "getenv"})
    }
    inside = {reader for reader in readers if reader not in READS_ENVIRONMENT and not reader.startswith("cli/")}
    assert inside == set()
