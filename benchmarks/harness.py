"""What every report here is made with; how is measured says `lambdanets.study.measuring`."""

import argparse
import datetime
import math
import platform
import re
import subprocess
import sys
from pathlib import Path

import torch

from lambdanets.study.measuring import cpu_name

REPORTS = Path(__file__).parent / "reports"


def require_green(*tests: str) -> None:
    """Stop unless these tests pass: no number is printed when the operation is wrong."""
    done = subprocess.run([sys.executable, "-m", "pytest", "-x", *tests], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the tests are red, so nothing is measured:\n{done.stdout[-2000:]}")


def environment(device: str = "cpu") -> str:
    """Machine, versions, commit and date, as a Markdown list."""
    dirty = _git("status", "--porcelain", "src")
    if device == "cpu":
        machine = f"{cpu_name()}, one thread"
        how = "times are CPU time, medians of interleaved runs; memory is the peak of a fresh process, MiB"
    else:
        machine = f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
        how = (
            "times are between CUDA events, medians of interleaved runs; memory is the peak that PyTorch allocates, MiB"
        )
    return "\n".join(
        [
            f"- command: `python -m {' '.join([_module(), *sys.argv[1:]])}`",
            f"- date: {datetime.date.today()}; commit {code_version()}{' + uncommitted changes' if dirty else ''}",
            f"- machine: {machine}; Python {platform.python_version()}, torch {torch.__version__}",
            f"- {how}",
        ]
    )


def add_gpu_options(parser: argparse.ArgumentParser, gpu: argparse._ArgumentGroup) -> None:
    """The options that every benchmark with workers has."""
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where is measured")
    gpu.add_argument("--tested", action="store_true", help="the tests for GPUs have just passed: do not run them again")
    gpu.add_argument("--minutes", type=float, default=math.inf, help="after so many nothing more is begun")
    gpu.add_argument("--out", type=Path, default=REPORTS, help="the report's folder")
    gpu.add_argument("--measured", type=Path, help="file of what is measured; what it holds is not measured again")
    gpu.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    gpu.add_argument("--until", type=float, default=math.inf, help=argparse.SUPPRESS)


def want_device(device: str) -> None:
    """End the program with code 2, and a sentence, where there is no such device."""
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        print("--device cuda: PyTorch finds no GPU here, so nothing was measured.", file=sys.stderr)
        raise SystemExit(2)


def code_version() -> str:
    """The commit, in a file's name."""
    return _git("rev-parse", "--short", "HEAD") or "unknown"


def _git(*words: str) -> str:
    """What git says; nothing outside a checkout, or where there is no git."""
    try:
        return subprocess.run(["git", *words], capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def _module() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else "benchmarks"


def hardware(device: str) -> str:
    """The device in a file's name."""
    if device == "cpu":
        return "cpu-1-thread"
    return re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name(device).lower()).strip("-")


def write_report(what: str, text: str, *, device: str = "cpu", folder: Path = REPORTS) -> Path:
    """The report's path, <what>_<hardware>_<date>.md in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{what}_{hardware(device)}_{datetime.date.today()}.md"
    path.write_text(text, encoding="utf-8")
    return path
