"""The bundled digits as a data set of files, to try with what one has no pictures for."""

import os
import shutil
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from lambdanets.data.digits import TEST_FORMS, TRAIN_FORMS, DigitsConfig, DigitsSplit, load_split
from lambdanets.data.export import WRITERS, Sample
from lambdanets.data.finding import DataError
from lambdanets.whole_file import writing

SIZES = (8, 1024)
"""Least and greatest side that can be asked for."""
_FORMS_OF = {"train": TRAIN_FORMS, "val": TEST_FORMS}
"""The test forms are called val, as people call what a network is judged by; nobody's hand is in both."""


def write_digits(path: Path, form: str, size: int = SIZES[0]) -> dict[str, int]:
    """How many pictures each split got. All is written under another name first: what is there is whole.

    Raises:
        DataError: a form or size that is none, or a path that is taken.
        NotWrittenError: the folder cannot be written; nothing is left.
    """
    if form not in WRITERS:
        raise DataError(f"got the form '{form}', wanted one of {', '.join(WRITERS)}.")
    if not SIZES[0] <= size <= SIZES[1]:
        raise DataError(f"size: got {size}, wanted {SIZES[0]} to {SIZES[1]}.")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DataError(f"{path} is not an empty folder: give another name, or remove it first.")
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.mkdir()
            for split, forms in _FORMS_OF.items():
                WRITERS[form](digit_samples(forms, size), draft, split, DigitsSplit.classes)
            os.replace(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return {split: len(load_split(forms, DigitsConfig()).labels) for split, forms in _FORMS_OF.items()}


def digit_samples(forms: Sequence[int], size: int = SIZES[0]) -> Iterator[Sample]:
    """The digits of these forms as grey PNG, in the order in which they were scanned."""
    split = load_split(forms, DigitsConfig())
    for scan, label in zip(split.images.numpy(), split.labels.tolist(), strict=True):
        picture = Image.fromarray((scan[0] * 255).round().astype(np.uint8))
        if size != SIZES[0]:
            picture = picture.resize((size, size), Image.Resampling.BICUBIC)
        content = BytesIO()
        picture.save(content, "PNG")
        yield Sample(content.getvalue(), label)
