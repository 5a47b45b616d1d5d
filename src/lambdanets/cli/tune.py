"""`lambdanets tune`: measure the contraction orders on this machine and keep what "auto" should know of it."""

import platform
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

    A GPU takes longer, for kernels are compiled; and tile sizes of the fused ones are searched first, for 15 minutes
    unless told otherwise.

    Example: lambdanets tune --out profile.json

    Use the profile with LambdaLayer(…, impl="auto:profile.json") or lambdanets explain --profile profile.json.

    Args:
        out: The file to write, replaced if it exists.
        device: What is measured; the profile says nothing about the other.
        minutes: Most of searching tile sizes on a GPU; 0 keeps the built-in ones.
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
        if device == "cuda" and minutes != 0:
            profile = _with_launches(profile, MINUTES if minutes is None else minutes, out)
        problems = calibration_problems(device)
        for latest in track(calibrate(problems, profile), "measuring orders", total=len(problems)):
            profile = latest
        profile.save(out)
    print("order          work, in predicted seconds forward and backward → measured here")
    for order, factors in profile.factors.items():
        print(f"{order:<14} {', '.join(f'{kind} × {a:.2f} {b:.2f}' for kind, (a, b) in factors.items())}")
    print(f"wrote {out}")


def _check(out: Path, device: str, minutes: float | None) -> None:
    """Raise ValueError for options that do not fit, before minutes of measuring."""
    if not out.parent.is_dir() or out.is_dir():
        raise ValueError(f"--out: got '{out}', wanted a file in a folder that exists.")
    if minutes is not None and (device == "cpu" or not 0 <= minutes < float("inf")):
        raise ValueError(f"--minutes: got {minutes:g}, wanted 0 or more, with --device cuda.")
    check_writable(out)


def _with_launches(profile: "Profile", minutes: float, out: Path) -> "Profile":
    """The profile with the launch rows that were found; kept in the file after each, for the search takes long."""
    import torch
    from rich.progress import track

    from lambdanets.ops.impl import triton
    from lambdanets.ops.stopwatch import stopwatch
    from lambdanets.ops.tuning import calibration_problems

    reason = triton.why_not(calibration_problems(profile.device)[0])
    if reason:
        print(f"no tile sizes are searched: {reason}")
        return profile
    from lambdanets.ops.impl.triton.run import capability_of
    from lambdanets.ops.impl.triton.search import rows_of, search_launches

    rows = rows_of(capability_of(torch.empty(0, device=profile.device)))
    found = search_launches(rows, profile.device, minutes, stopwatch(profile.device))
    tried = 0
    for index, one in enumerate(track(found, "searching tile sizes", total=len(rows))):
        rows, tried = (*rows[:index], one.row, *rows[index + 1 :]), tried + one.tried
        profile = replace(profile, launches=rows)
        profile.save(out)
        if one.share < 1:
            print(f"{one.row.what} of {one.row.least_columns} columns or more: × {one.share:.2f} by {one.row}")
    print(f"tried {tried} rows beside the {len(rows)} built-in ones")
    return profile
