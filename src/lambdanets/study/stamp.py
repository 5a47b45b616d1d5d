"""Where and when something was found out: kept with every answer, and told on every page."""

import datetime
import platform
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from lambdanets.study.measuring import cpu_name
from lambdanets.study.part import StudyOptions


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What an answer may depend on beside its piece."""

    machine: str
    """The processor, or the GPU, that it was found out on."""
    python: str
    torch: str
    lambdanets: str
    quick: bool
    """Whether --quick was asked for."""
    date: str
    """ISO, to the second."""
    commit: str | None = None
    """Of the checkout that the package was imported from, with "+" where files had been changed; None: not known."""

    def why_not_ours(self, ours: "Stamp") -> str | None:
        """Why an answer with this stamp cannot stand beside those found out now, in words; None if it can.

        Another machine and other versions measure something else; --quick looks less closely, so what it found does not
        serve a study without it, but the other way round it does. Commits may differ: they change all day.
        """
        for name in ("machine", "torch", "python", "lambdanets"):
            theirs, here = getattr(self, name), getattr(ours, name)
            if theirs != here:
                return f"{name}: {theirs}, not {here}"
        return "found out with --quick" if self.quick and not ours.quick else None


def stamp_now(options: StudyOptions) -> Stamp:
    """The stamp of what is found out here and now."""
    return Stamp(
        machine=machine_name(options.device),
        python=platform.python_version(),
        torch=torch.__version__,
        lambdanets=version("lambdanets"),
        quick=options.quick,
        date=datetime.datetime.now().isoformat(timespec="seconds"),
        commit=commit(),
    )


def machine_name(device: str) -> str:
    """What computes on a device, by its own name."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else cpu_name()


@cache
def commit() -> str | None:
    """The commit of our own checkout, with "+" where files of it had been changed; None outside one."""
    package = Path(__file__).parents[1]
    if not (package.parents[1] / ".git").exists() or package.parent.name != "src":
        return None  # installed; a .git further up is somebody else's
    try:
        name = _git(package, "rev-parse", "--short", "HEAD")
        return name + ("+" if _git(package, "status", "--porcelain", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
