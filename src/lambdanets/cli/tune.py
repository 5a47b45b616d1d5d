"""`lambdanets tune`: measure the contraction orders on this machine and keep what "auto" should know of it."""

import platform
from pathlib import Path
from typing import Literal

from lambdanets.cli.mistakes import mistakes_reported
from lambdanets.whole_file import check_writable, writing


def tune(out: Path = Path("lambdanets-profile.json"), *, device: Literal["cpu", "cuda"] = "cpu") -> None:
    """Measure every contraction order on this machine, on one thread or on its GPU, in one to two minutes.

    Example: lambdanets tune --out profile.json

    Use the profile with LambdaLayer(…, impl="auto:profile.json") or lambdanets explain --profile profile.json.

    Args:
        out: The file to write, replaced if it exists.
        device: What is measured; the profile says nothing about the other.
    """
    with mistakes_reported():
        if not out.parent.is_dir() or out.is_dir():
            raise ValueError(f"--out: got '{out}', wanted a file in a folder that exists.")
        check_writable(out)  # before a minute of measuring
        import torch
        from rich.progress import track

        from lambdanets.ops.cost import BUILT_IN
        from lambdanets.ops.tuning import calibrate, calibration_problems

        if device == "cuda" and not torch.cuda.is_available():
            raise ValueError("--device cuda: PyTorch finds no GPU here: leave it out to measure on the CPU.")
        problems = calibration_problems(device)
        profile = BUILT_IN
        chip = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
        name = f"{platform.node()}, {chip}"
        for latest in track(calibrate(name, problems), "measuring", total=len(problems)):
            profile = latest
        with writing(out):
            profile.save(out)
    for order in profile.forward:
        ahead, back = profile.forward[order], profile.backward[order]
        print(f"{order:<14} forward × {ahead.factor:4.2f}  backward × {back.factor:4.2f}  of the built-in prediction")
    print(f"wrote {out}")
