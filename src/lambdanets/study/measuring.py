"""How things are measured here: side by side in one process, on one thread, medians of interleaved runs.

On a CPU times are CPU time of the process, which other jobs on the machine disturb least; on a GPU they are what passes
until it is done. Memory is the peak of a fresh process above what it held before, parameters and input not counted.

    python -m lambdanets.study.measuring MODULE:FUNCTION ARGUMENTS DEVICE LIMIT TIMEOUT    (what `fresh_answer` starts)
"""

import ctypes
import gc
import importlib
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lambdanets.ops.stopwatch import Stopwatch, stopwatch

OUT_OF_MEMORY, TOO_SLOW = "out of memory", "too slow"
PATIENCE = 10
"""Seconds that a process may take on a busy machine for each second of its own."""
_OUT_OF_TIME = -24
"""How a process ends that has used up its CPU time: SIGXCPU."""
_NO_MEMORY = ("out of memory", "memoryerror", "t allocate memory", "not enough memory", "bad_alloc", "create a memory")
"""What PyTorch, its libraries and Python say, in small letters, where memory has run out."""


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    seconds: float = 4.0,
    rounds: int = 5,
    clock: Callable[[], float] = time.process_time,
    watch: Stopwatch | None = None,
) -> dict[str, float]:
    """Median seconds of each call, run in turn A B C A B C …, after one warm-up each.

    A call is repeated for about `seconds` in all, at least `rounds` times; very slow ones (over `seconds`) 3 times.
    Seconds are what `clock` shows, or what `watch` says where one is given.
    """
    timed = watch or partial(_timed, clock=clock)
    warm = {name: timed(call) for name, call in calls.items()}
    wanted = {
        name: max(min(3, rounds) if took > seconds else rounds, min(50, int(seconds / max(took, 1e-6))))
        for name, took in warm.items()
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(max(wanted.values(), default=0)):
        for name, call in calls.items():
            if turn < wanted[name]:
                times[name].append(timed(call))
    return {name: statistics.median(values) for name, values in times.items()}


def _timed(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start


def clock_of(device: str) -> Callable[[], float]:
    """What tells the seconds that a call takes: CPU time of this process, or the time until the GPU has finished."""
    if torch.device(device).type != "cuda":
        return time.process_time

    def finished() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return finished


@contextmanager
def one_thread() -> Iterator[None]:
    """One CPU thread inside, as many as before after it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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


def step_call(model: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], object]:
    """A training step of a classifier: forward, loss, backward, SGD with momentum."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def call() -> None:
        model.train()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return call


def gemm_rate(size: int = 1024, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> float:
    """Multiply-adds a second of a square matrix product on this machine, now."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return size**3 / interleaved({"gemm": lambda: a @ b}, seconds=1.0, watch=stopwatch(device))["gemm"]


def copy_rate(numbers: int = 2**24, *, device: str = "cpu") -> float:
    """Bytes a second, read and written, of a copy of so many fp32 numbers on this machine, now."""
    source = torch.randn(numbers, device=device)
    target = torch.empty_like(source)
    seconds = interleaved({"copy": lambda: target.copy_(source)}, seconds=1.0, watch=stopwatch(device))["copy"]
    return 2 * source.nbytes / seconds


def peak_bytes(call: Callable[[], object], device: str = "cpu") -> int:
    """Peak memory of one call above the level before it; run this in a fresh process (Linux, or a GPU's memory)."""
    call()  # libraries load and keep their workspaces
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps from the first call would hide the second's need
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    call()
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def fresh_peak(
    problem: str, *, limit: int, device: str = "cpu", timeout: float = 300, **arguments: Any
) -> int | Literal["out of memory", "too slow"]:
    """Peak bytes of a named call, measured in a process of its own that may take no more than `limit` bytes.

    Running out of memory, or of time, is an answer. `problem` is "package.module:function"; the function is called with
    `arguments` (numbers, texts and lists) and returns the call that is measured; it builds on `device` without asking,
    and what it builds counts against the limit too. Needs Linux, or a GPU as `device`.

    Raises:
        RuntimeError: the process failed in another way; says how.
    """
    here = f"{__name__}:peak_of"
    return fresh_answer(here, limit=limit, device=device, timeout=timeout, problem=problem, arguments=arguments)


def peak_of(problem: str, arguments: Mapping[str, Any], device: str) -> int:
    """Peak bytes of the call that a named function builds."""
    with torch.device(device):
        call = _named(problem)(**arguments)
    return peak_bytes(call, device)


def fresh_answer(function: str, *, limit: int, device: str = "cpu", timeout: float = 300, **arguments: Any) -> Any:
    """What a named function answers to `device` and `arguments` in a process of its own, on one thread.

    It may take no more than `limit` bytes beyond what it begins with (on Linux, or of a GPU's memory): "out of memory"
    is an answer, and so is "too slow", after `timeout` seconds of its own time, or ten times as many on a busy machine.
    `function` is "package.module:function"; arguments and answer are what JSON can hold.

    Raises:
        RuntimeError: the process failed in another way; says how.
    """
    command = [sys.executable, "-P", "-m", __name__, function, json.dumps(arguments), device, str(limit), str(timeout)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE * timeout)
    except subprocess.TimeoutExpired:
        return TOO_SLOW
    if done.returncode == _OUT_OF_TIME:
        return TOO_SLOW
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if done.returncode == -9 or any(words in done.stderr.lower() for words in _NO_MEMORY):
        return OUT_OF_MEMORY  # -9: the system stopped it, which it does where the machine has no more memory
    raise RuntimeError(f"{function} {arguments} failed in a process of its own: {done.stderr.strip()[-600:]}")


def main(function: str, arguments: str, device: str, limit: str, timeout: str = "1e7") -> None:
    """Print what a function answers, as the last line."""
    torch.set_num_threads(1)
    named = _named(function)
    _hold_to(int(limit), float(timeout), device)
    torch.manual_seed(0)
    print(json.dumps(named(**json.loads(arguments), device=device)))


def _named(function: str) -> Callable[..., Any]:
    module, name = function.split(":")
    return getattr(importlib.import_module(module), name)


def _hold_to(limit: int, timeout: float, device: str) -> None:
    """Let this process take no more bytes (an error is raised in it) and no more CPU time (it is ended) beyond now."""
    if torch.device(device).type == "cuda":
        whole = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / whole), device)
    if not Path("/proc/self/status").exists():
        return  # not Linux: there is nothing to hold it by, so memory runs out where the machine's does
    import resource  # Unix only

    seconds = math.ceil(time.process_time() + timeout)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    if torch.device(device).type != "cuda":
        most = _status("VmData") + limit
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def in_fresh_process(module: str, *arguments: str, timeout: float = 900) -> str | None:
    """The last line `python -m module arguments` prints, or None if it fails."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, timeout=timeout)
    return done.stdout.strip().splitlines()[-1] if done.returncode == 0 and done.stdout.strip() else None


def free_bytes(device: str = "cpu") -> int:
    """Memory there that processes can still have; 4 GiB where the system does not say."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 4 * 2**30)


def cpu_name() -> str:
    """The processor's own name, with its matrix extensions."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "CPU")
    extensions = [flag for flag in ("avx2", "avx512f", "amx_bf16") if f" {flag}" in info]
    return f"{name} ({', '.join(extensions) or platform.machine()})"


if __name__ == "__main__":
    main(*sys.argv[1:])
