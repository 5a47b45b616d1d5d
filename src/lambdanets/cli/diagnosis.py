"""What this machine has, and how to get what it lacks. Works without torch, for that may be what is missing."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version

from lambdanets import __version__
from lambdanets.training.cores import usable_cores


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    value: str
    well: bool = True
    remedy: str = ""
    """What to do, where it is not well."""


def diagnose() -> list[Finding]:
    """Versions, processor, memory on disk, GPU."""
    findings = [
        Finding(name="lambdanets", value=__version__),
        Finding(name="python", value=f"{platform.python_version()}, {platform.platform()}"),
        *_packages(),
        _threads(),
        _disk(),
    ]
    if all(finding.well for finding in findings if finding.name == "torch"):
        findings.append(_gpu())
    return findings


def _packages() -> Iterator[Finding]:
    """Every package that lambdanets needs: imported, not only listed, because a broken one is listed too."""
    for requirement in requires("lambdanets") or []:
        if ";" in requirement:  # of an extra
            continue
        name = requirement.partition(">")[0].strip()
        module = {"scikit-learn": "sklearn", "pillow": "PIL"}.get(name, name.replace("-", "_"))
        remedy = f'{sys.executable} -m pip install "{requirement}"'
        try:
            import_module(module)
            yield Finding(name=name, value=version(name))
        except (ImportError, PackageNotFoundError, OSError) as error:
            reason = " ".join(str(error).split())
            yield Finding(name=name, value=f"cannot be imported ({reason})", well=False, remedy=remedy)


def _threads() -> Finding:
    asked = os.environ.get("OMP_NUM_THREADS")
    value = f"{usable_cores()} of {os.cpu_count()} cores to use, OMP_NUM_THREADS {asked or 'not set'}"
    if hasattr(os, "getloadavg"):
        value += f", {os.getloadavg()[0]:.1f} busy in the last minute"
    policy = os.environ.get("OMP_WAIT_POLICY", "PASSIVE").upper()
    return Finding(
        name="threads",
        value=value if policy == "PASSIVE" else f"{value}, OMP_WAIT_POLICY {policy}",
        well=policy == "PASSIVE",
        remedy="unset OMP_WAIT_POLICY: waiting threads that spin make a step many times slower on a shared processor.",
    )


def _disk() -> Finding:
    free = shutil.disk_usage(".").free
    return Finding(
        name="disk",
        value=f"{free / 1e9:.1f} GB free here" + ("" if os.access(".", os.W_OK) else ", but nothing can be written"),
        well=free > 50e6 and os.access(".", os.W_OK),
        remedy="go to a folder that can be written to and has 50 MB free; a run of the digits takes 3.",
    )


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        return Finding(name="gpu", value=f"{names}, CUDA {torch.version.cuda}; train with --set device=cuda")
    built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built for CPUs only"
    return Finding(name="gpu", value=f"none ({built}); everything works on the CPU")
