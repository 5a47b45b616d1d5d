"""What every report here is made with; how is measured says `lambdanets.study.measuring`."""

import datetime
import platform
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


def write_report(what: str, text: str) -> Path:
    """The report's path, reports/<what>_<hardware>_<date>.md."""
    path = REPORTS / f"{what}_cpu-1-thread_{datetime.date.today()}.md"
    path.write_text(text)
    return path
