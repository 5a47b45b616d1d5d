"""Image files in, answers out: the part of `predict` between the command line and the pages."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from lambdanets.cli.table import print_rows
from lambdanets.data.digits import DigitsConfig
from lambdanets.data.images import ImageError
from lambdanets.data.scan import has_ink
from lambdanets.finished import FinishedRun
from lambdanets.printable import printable
from lambdanets.report.picture import as_seen
from lambdanets.report.predictions_page import NO_INK, THUMBNAIL, Answer

NUM_TOP = 5
"""Classes named for an image."""


def check_page(page: Path | None) -> None:
    """Raise ValueError before any work if the page could not be written, or would overwrite something else."""
    if page is None:
        return
    if page.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--page: got {page}, wanted a file name that ends in .html.")
    if not page.parent.is_dir():
        raise ValueError(f"--page: there is no folder {page.parent}; make it first.")
    if page.is_dir():
        raise ValueError(f"--page: {page} is a folder; give the name of a file.")


def predict_images(paths: Sequence[Path], run: FinishedRun) -> list[Answer]:
    """An answer for each file, in order.

    Raises:
        ImageError: not one of them can be read; the message is about the first.
    """
    answers = [_answer(path, run) for path in paths]
    if all(answer.error for answer in answers):
        more = f" (and {len(answers) - 1} more that cannot be read)" if len(answers) > 1 else ""
        raise ImageError(f"{answers[0].error}{more}")
    return answers


@torch.no_grad()
def _answer(path: Path, run: FinishedRun) -> Answer:
    try:
        picture = run.read(path)
    except ImageError as error:
        return Answer(path=path, error=str(error))
    inputs = run.inputs([picture])
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    seen = as_seen(inputs.cpu(), run.config.data.preprocess)[0]
    if isinstance(run.config.data, DigitsConfig) and not has_ink(seen):
        return Answer(path=path, given=picture, seen=seen)
    probabilities = run.logits(inputs).softmax(1)[0].cpu()
    best = probabilities.topk(min(NUM_TOP, len(probabilities)))
    return Answer(
        path=path,
        top=tuple(
            (run.class_names[label], share) for share, label in zip(*map(torch.Tensor.tolist, best), strict=True)
        ),
        given=picture,
        seen=seen,
    )


def answer_table(answers: Sequence[Answer]) -> None:
    """Print a row an image: the likeliest classes, or what is wrong with the file."""
    places = [f"{place}." for place in range(1, NUM_TOP + 1)]
    rows = [(printable(answer.path), *_cells(answer)) for answer in answers]
    print_rows(["image", *places], rows, give_way=places[:0:-1])
    for answer in answers:
        if answer.error:
            print(answer.error)


def _cells(answer: Answer) -> Iterator[str]:
    if answer.error:
        yield "–"
    elif not answer.top:
        yield NO_INK
    for name, share in answer.top:
        yield f"{printable(name)} {share:.1%}"
