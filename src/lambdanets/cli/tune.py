"""`lambdanets tune`: measure the contraction orders on this machine and keep what "auto" should know of it."""

import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lambdanets.cli.mistakes import mistakes_reported
from lambdanets.whole_file import check_writable

if TYPE_CHECKING:
    from lambdanets.ops.profile import Profile

MINUTES = 15.0
"""Of searching launch rows, unless said."""


def tune(
    out: Path = Path("lambdanets-profile.json"),
    *,
    device: Literal["cpu", "cuda"] = "cpu",
    minutes: float | None = None,
) -> None:
    """Measure every contraction order on this machine, on one thread or on its GPU, in three minutes or so.

    On a GPU kernels are compiled first, and better tile sizes for the fused ones are searched afterwards.

    Example: lambdanets tune --out profile.json

    Use the profile with LambdaLayer(…, impl="auto:profile.json") or lambdanets explain --profile profile.json.

    Args:
        out: The file to write, replaced if it exists.
        device: What is measured; the profile says nothing about the other.
        minutes: Most of searching tile sizes on a GPU, 15 unless said; 0 keeps the built-in ones.
    """
    with mistakes_reported():
        _check(out, device, minutes)
        import torch
        from rich.progress import track

        from lambdanets.ops.profile import Profile
        from lambdanets.ops.tuning import calibrate, calibration_problems

        if device == "cuda" and not torch.cuda.is_available():
            raise ValueError("--device cuda: PyTorch finds no GPU here: leave it out to measure on the CPU.")
        chip = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
        profile = Profile(f"{platform.node()}, {chip}", device=device)
        problems = calibration_problems(device)
        for latest in track(calibrate(profile, problems), "measuring orders", total=len(problems)):
            profile = latest
        profile.save(out)
        if device == "cuda" and minutes != 0:
            _search_launches(profile, MINUTES if minutes is None else minutes, out)
    print("what every kind of work takes, over the built-in prediction")
    for order, factors in profile.factors.items():
        forward, backward = zip(*factors.values(), strict=True)
        print(f"{order:<14} forward × {_range(forward)}  backward × {_range(backward)}")
    print(f"wrote {out}")


def _range(factors: Sequence[float]) -> str:
    return f"{min(factors):.2f} to {max(factors):.2f}"


def _check(out: Path, device: str, minutes: float | None) -> None:
    """Raise ValueError for options that do not fit, before minutes of measuring."""
    if not out.parent.is_dir() or out.is_dir():
        raise ValueError(f"--out: got '{out}', wanted a file in a folder that exists.")
    if minutes is not None and (device == "cpu" or not 0 <= minutes < float("inf")):
        raise ValueError(f"--minutes: got {minutes:g}, wanted 0 or more, with --device cuda.")
    check_writable(out)


def _search_launches(profile: "Profile", minutes: float, out: Path) -> None:
    """Add to the profile in the file the launch rows that are found, each when it is found: this may be stopped."""
    import torch
    from rich.progress import track

    from lambdanets.ops.impl import triton
    from lambdanets.ops.stopwatch import stopwatch
    from lambdanets.ops.tuning import calibration_problems

    reason = triton.why_not(calibration_problems(profile.device)[0])
    if reason:
        print(f"no tile sizes are searched: {reason}")
        return
    from lambdanets.ops.impl.triton.run import capability_of
    from lambdanets.ops.impl.triton.search import rows_of, search_launches

    rows = rows_of(capability_of(torch.empty(0, device=profile.device)))
    found = search_launches(rows, profile.device, minutes, stopwatch(profile.device))
    tried = 0
    for index, one in enumerate(track(found, "searching tile sizes", total=len(rows))):
        rows, tried = (*rows[:index], one.row, *rows[index + 1 :]), tried + one.tried
        replace(profile, launches=rows).save(out)
        if one.share < 1:
            print(f"{one.row.what} of {one.row.least_columns} columns or more: × {one.share:.2f} by {one.row}")
    print(f"tried {tried} rows beside the {len(rows)} built-in ones")
