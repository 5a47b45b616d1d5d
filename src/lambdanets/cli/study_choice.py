"""Which study is asked for, and whether there can be one: all that is wrong with it is told before any work."""

from pathlib import Path

import torch

from lambdanets.data.images import read_image
from lambdanets.study.part import Part, StudyOptions
from lambdanets.study.parts import PARTS
from lambdanets.whole_file import check_writable


def chosen_parts(word: str) -> list[Part]:
    """The parts that a word asks for; ValueError where there is none by that name."""
    chosen = [part for part in PARTS if word in ("all", part.name)]
    if not chosen:
        raise ValueError(f"got the part '{word}', wanted all, {', '.join(part.name for part in PARTS)}.")
    return chosen


def study_options(
    out: Path, *, quick: bool, full: bool, device: str, run: Path | None, image: Path | None = None
) -> StudyOptions:
    """What every part is told; nothing is written yet.

    Raises:
        ValueError: two options contradict each other, or there is no such folder, device, run or picture.
    """
    if quick and full:
        raise ValueError("got --quick and --full, which asks for less and for more: take one of them.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: PyTorch finds no GPU here: leave it out to measure on the CPU.")
    if run is not None and not run.is_dir():
        raise ValueError(f"--run: got '{run}', wanted the folder of a finished run, such as lambdanets train makes.")
    if image is not None and not image.is_file():
        raise ValueError(f"--image: got '{image}', wanted the file of a picture.")
    if image is not None:
        read_image(image, enough=1)
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out: got '{out}', which is a file; wanted a folder, which is made if it is missing.")
    return StudyOptions(folder=out, quick=quick, device=device, run=run, image=image, full=full)


def make_folder(out: Path) -> None:
    """Make the folder of the study, if it is missing.

    Raises:
        OSError: it cannot be made, or not be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    check_writable(out / "study.html")
