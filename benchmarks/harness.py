"""How things are measured here: side by side in one process, one thread, medians of interleaved runs.

Times are CPU time of the process, which other jobs on the machine disturb least; memory is the peak of a fresh
process above what it held before, parameters and input not counted.
"""

import ctypes
import datetime
import gc
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

REPORTS = Path(__file__).parent / "reports"


def interleaved(
    calls: Mapping[str, Callable[[], object]], *, seconds: float = 4.0, rounds: int = 5
) -> dict[str, float]:
    """Median CPU seconds of each call, run in turn A B C A B C …, after one warm-up each.

    A call is repeated for about `seconds` in all, at least `rounds` times; very slow ones (over `seconds`) 3 times.
    """
    warm = {name: _timed(call) for name, call in calls.items()}
    wanted = {
        name: max(3 if took > seconds else rounds, min(50, int(seconds / max(took, 1e-6))))
        for name, took in warm.items()
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(max(wanted.values())):
        for name, call in calls.items():
            if turn < wanted[name]:
                times[name].append(_timed(call))
    return {name: statistics.median(values) for name, values in times.items()}


def _timed(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def forward_call(layer: nn.Module, x: Tensor) -> Callable[[], object]:
    """A forward pass in eval mode without gradients."""

    def call() -> None:
        layer.eval()
        with torch.no_grad():
            layer(x)

    return call


def training_call(layer: nn.Module, x: Tensor) -> Callable[[], object]:
    """A forward and backward pass in train mode, with input and weight gradients."""
    x = x.detach().requires_grad_()
    with torch.no_grad():
        cotangent = torch.randn_like(layer(x))
    inputs = [x, *(p for p in layer.parameters() if p.requires_grad)]

    def call() -> None:
        layer.train()
        torch.autograd.grad(layer(x), inputs, cotangent, allow_unused=True)

    return call


def gemm_rate(size: int = 1024) -> float:
    """Multiply-adds a second of a square fp32 matrix product on this machine, now."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    return size**3 / interleaved({"gemm": lambda: a @ b}, seconds=1.0)["gemm"]


def peak_bytes(call: Callable[[], object]) -> int:
    """Peak resident memory of one call above the level before it; run this in a fresh process (Linux)."""
    call()  # libraries load and keep their workspaces
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps from the first call would hide the second's need
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    call()
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def in_fresh_process(module: str, *arguments: str, timeout: float = 900) -> str | None:
    """The last line `python -m module arguments` prints, or None if it fails."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, timeout=timeout)
    return done.stdout.strip().splitlines()[-1] if done.returncode == 0 and done.stdout.strip() else None


def require_green(*tests: str) -> None:
    """Stop unless these tests pass: no number is printed when the operation is wrong."""
    done = subprocess.run([sys.executable, "-m", "pytest", "-x", *tests], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the tests are red, so nothing is measured:\n{done.stdout[-2000:]}")


def environment() -> str:
    """Machine, versions, commit and date, as a Markdown list."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    dirty = subprocess.run(["git", "status", "--porcelain", "src"], capture_output=True, text=True).stdout.strip()
    return "\n".join(
        [
            f"- command: `python -m {' '.join([_module(), *sys.argv[1:]])}`",
            f"- date: {datetime.date.today()}; commit {commit}{' + uncommitted changes' if dirty else ''}",
            f"- machine: {cpu_name()}, one thread; Python {platform.python_version()}, torch {torch.__version__}",
            "- times are CPU time, medians of interleaved runs; memory is the peak of a fresh process, MiB",
        ]
    )


def _module() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else "benchmarks"


def cpu_name() -> str:
    """The processor's own name, with its matrix extensions."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "CPU")
    extensions = [flag for flag in ("avx2", "avx512f", "amx_bf16") if f" {flag}" in info]
    return f"{name} ({', '.join(extensions) or platform.machine()})"


def write_report(what: str, text: str) -> Path:
    """The report's path, reports/<what>_<hardware>_<date>.md."""
    path = REPORTS / f"{what}_cpu-1-thread_{datetime.date.today()}.md"
    path.write_text(text)
    return path
