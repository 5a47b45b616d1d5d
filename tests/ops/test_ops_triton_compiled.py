"""The Triton order's kernels compiled ahead of time, without a GPU: what the machine code of every launch row holds.

Read from the cubin by the tools that Triton brings: registers spilled, shared memory, tensor-core instructions.
"""

import math
import re
import subprocess
from dataclasses import replace

import pytest
import torch

from lambdanets.ops.impl.triton.launches import LAUNCHES

triton = pytest.importorskip("triton")

SHARED_MEMORY = {80: 163 * 1024, 90: 227 * 1024}
"""Bytes that one program may use: A100, H100."""
TENSOR_CORES = {80: "HMMA", 90: "HGMMA"}
"""The instructions of mma and of wgmma."""
LEAST_ROWS = 64
"""Of a wgmma; a product of fewer rows uses mma."""
COLUMNS_FIRST = ("output_kernel", "value_gradient_kernel")
"""Whose products have the channels of images as rows."""
POINTERS = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16"}
WIDTHS = {2: torch.bfloat16, 4: torch.float32}
PASSES = ("output", "query", "value", "table")


def calls(what, architecture, launches, *, dtype, b, h, k, v, u, size, scope):
    """The kernel calls of one pass, made with tensors without memory."""
    from lambdanets.ops.impl.triton import run

    def empty(*shape):
        return torch.empty(shape, dtype=dtype, device="meta")

    maps = run.Maps(
        empty(b, *size, h, k), empty(b, *size, u, v), run.crop_table(empty(k, u, *scope), size), launches, architecture
    )
    grad = empty(b, *size, h, v)
    {
        "output": lambda: run.run_output(maps),
        "query": lambda: run.run_query_gradient(maps, grad),
        "value": lambda: run.run_value_gradient(maps, grad),
        "table": lambda: run.run_table_gradient(maps, grad, scope),
    }[what]()
    return maps.calls


def compiled(call, architecture):
    """The call's kernel for its arguments, specialised as at a launch: numbers that are 1, and multiples of 16."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature, constants, divisible = {}, dict(call.constants), {}
    for index, (name, argument) in enumerate(zip(call.kernel.arg_names, call.arguments, strict=False)):
        if isinstance(argument, torch.Tensor):
            signature[name] = POINTERS[argument.dtype]
        elif argument == 1:
            constants[name] = 1
        else:
            signature[name] = "i32"
        if isinstance(argument, torch.Tensor) or (argument != 1 and argument % 16 == 0):
            divisible[(index,)] = [["tt.divisibility", 16]]
    signature = {name: signature.get(name, "constexpr") for name in call.kernel.arg_names}
    source = ASTSource(fn=call.kernel, signature=signature, constexprs=constants, attrs=divisible)
    return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=call.options)


def machine_code(kernel, folder):
    """The disassembled cubin."""
    path = folder / f"{kernel.metadata.name}.cubin"
    path.write_bytes(kernel.asm["cubin"])
    tool = triton.knobs.nvidia.cuobjdump.path
    return subprocess.run([tool, "-sass", str(path)], capture_output=True, text=True, check=True).stdout


def check(call, architecture, folder):
    """Nothing spilled, shared memory within the limit, and the products on tensor cores."""
    kernel = compiled(call, architecture)
    code = machine_code(kernel, folder)
    spilled = re.findall(r"\b(?:STL|LDL)\b", code)
    assert not spilled, f"{len(spilled)} accesses to spilled registers"
    assert kernel.metadata.shared <= SHARED_MEMORY[architecture]
    if "PRECISION" in call.constants:
        columns = call.constants["CHANNELS"] * call.constants.get("IMAGES", 1)
        few = call.kernel.__name__ in COLUMNS_FIRST and columns < LEAST_ROWS
        assert re.search(rf"\b{TENSOR_CORES[80 if few else architecture]}\b", code)
    assert not re.search(r"\b(?:RED|ATOM|ATOMG)\b", code), "an atomic operation: sums would have no fixed order"


@pytest.fixture
def cold(tmp_path, monkeypatch):
    """A folder, and a cache in it: kernels are compiled, not remembered."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def name_of(row):
    return f"{row.what}-sm{row.architecture}-{8 * row.itemsize}bit-{row.columns}x{row.rows}x{row.step}"


@pytest.mark.parametrize("architecture", [80, 90], ids=["sm80", "sm90"])
def test_the_output_is_formed_on_tensor_cores(architecture, cold):
    sizes = {"b": 2, "h": 4, "k": 16, "v": 64, "u": 1, "dtype": torch.bfloat16}
    for call in calls("output", architecture, LAUNCHES, **sizes, size=(32, 32), scope=(23, 23)):
        check(call, architecture, cold)


def main_loop(code):
    """The instructions of the shortest loop that holds products, without their predicates."""
    found = re.findall(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?(\S.*?)\s*;", code)
    lines = [(int(address, 16), instruction) for address, instruction in found]
    ends = [(int(to, 16), at) for at, line in lines for to in re.findall(r"^BRA.*?(0x[0-9a-f]+)", line)]
    loops = [[line for at, line in lines if first <= at <= last] for first, last in ends if first < last]
    return min((loop for loop in loops if any("HGMMA" in line for line in loop)), key=len)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("what", "share"), [("output", 0.6), ("query", 0.7), ("value", 1.2), ("table", 0.9)])
def test_what_counts_offsets_keeps_no_tensor_core_waiting(what, share, cold):
    """Cycles to issue a step of the loop, one a scheduler, over those of its products, 2048 multiply-adds each.

    Of V's gradient a program is so small that others have to be at work beside it; that is what its registers allow.
    """
    sizes = {"b": 64, "h": 4, "k": 16, "v": 64, "u": 1, "dtype": torch.bfloat16}
    made = calls(what, 90, LAUNCHES, **sizes, size=(32, 32), scope=(23, 23))
    call = next(call for call in made if "PRECISION" in call.constants)
    loop = main_loop(machine_code(compiled(call, 90), cold))
    sides = re.findall(r"HGMMA\.(\d+)x(\d+)x(\d+)", "\n".join(loop))
    products = sum(math.prod(map(int, three)) for three in sides)  # of four warps, one on each scheduler
    assert len(loop) <= share * products / 2048


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", LAUNCHES, ids=name_of)
def test_every_launch_row_compiles_well(row, cold):
    sizes = {"b": 16, "h": 4, "k": 16, "v": max(row.columns, 64), "u": 1, "dtype": WIDTHS[row.itemsize]}
    launches = (replace(row, least_columns=0),)
    for call in calls(row.what, row.architecture, launches, **sizes, size=(32, 32), scope=(23, 23)):
        check(call, row.architecture, cold)


SIZES = {
    "fp16": ({"dtype": torch.float16}, (32, 32), (23, 23)),
    "narrow-keys": ({"k": 8}, (32, 32), (23, 23)),
    "wide-keys": ({"k": 32}, (32, 32), (23, 23)),
    "deep": ({"u": 4, "h": 8}, (32, 32), (7, 7)),
    "many-heads": ({"h": 16, "v": 32}, (32, 32), (23, 23)),
    "eight-heads-fp32": ({"h": 8, "dtype": torch.float32}, (32, 32), (23, 23)),
    "many-heads-fp32": ({"h": 16, "v": 32, "dtype": torch.float32}, (32, 32), (23, 23)),
    "wide-keys-fp32": ({"k": 32, "dtype": torch.float32}, (32, 32), (23, 23)),
    "odd-fp32": ({"b": 100, "v": 20, "k": 11, "h": 3, "dtype": torch.float32}, (7, 9), (5, 3)),
    "one-head": ({"h": 1, "v": 128}, (14, 14), (27, 27)),
    "1d": ({}, (1, 1000), (1, 255)),
    "odd": ({"b": 100, "v": 20, "k": 11, "h": 3}, (7, 9), (5, 3)),
    "c5": ({"b": 128, "v": 128}, (7, 7), (13, 13)),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", PASSES)
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("architecture", [80, 90], ids=["sm80", "sm90"])
def test_every_kind_of_problem_compiles_well(what, name, architecture, cold):
    change, size, scope = SIZES[name]
    sizes = {"b": 16, "h": 4, "k": 16, "v": 64, "u": 1, "dtype": torch.bfloat16, **change}
    for call in calls(what, architecture, LAUNCHES, **sizes, size=size, scope=scope):
        check(call, architecture, cold)
