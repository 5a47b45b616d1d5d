"""`predict` of a detector: what is found in image files, as a table, as JSON, drawn on the pictures."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from lambdanets.cli.mistakes import EXIT_FAILED
from lambdanets.cli.table import print_rows
from lambdanets.data.images import ImageError
from lambdanets.detection.drawing import draw_objects
from lambdanets.detection.evaluation import to_coco_results
from lambdanets.finished import FinishedDetector
from lambdanets.printable import printable
from lambdanets.whole_file import write_whole

LEAST_SCORE = 0.5
"""Detections that are less sure are in the JSON, but neither listed nor drawn."""
MOST_LISTED = 10
"""Detections that are listed of an image."""
RESULTS = "detections.json"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of one image file."""

    path: Path
    results: list[dict[str, Any]]
    """COCO results, each with its file_name; the image_id is the file's place among those that were given, from 1."""
    drawn: Image.Image | None = None
    error: str = ""
    """Why it could not be read; empty if it could."""


def predict_objects(paths: Sequence[Path], run: FinishedDetector, *, as_json: bool, draw: Path | None) -> int:
    """Say what is found in each file, one after the other; the exit code.

    Raises:
        ImageError: not one of them can be read; the message is about the first.
        ValueError: `draw` is no folder, nor can be made one, or it is the folder of one of the files.
    """
    if draw is not None:
        _make_folder(draw, paths)
    all_found = []
    for found in find_objects(paths, run, with_drawing=draw is not None):
        if as_json:
            answer = {"error": found.error} if found.error else {"detections": found.results}
            print(json.dumps({"image": str(found.path)} | answer), flush=True)
        if draw is not None and found.drawn is not None:
            stream = io.BytesIO()
            found.drawn.save(stream, "PNG")
            write_whole(draw / _drawing_name(len(all_found), found.path, paths), stream.getvalue())
        all_found.append(replace(found, drawn=None))  # of many files the drawings would fill the memory
    errors = [found.error for found in all_found if found.error]
    if len(errors) == len(all_found):
        raise ImageError(errors[0] + (f" (and {len(errors) - 1} more that cannot be read)" if errors[1:] else ""))
    if draw is not None:
        write_whole(draw / RESULTS, json.dumps([one for found in all_found for one in found.results]).encode())
    if not as_json:
        _print_table(all_found, run)
        print("\n".join(errors + ([f"drawn   {printable(draw)}"] if draw is not None else [])))
    return EXIT_FAILED if errors else 0


def find_objects(paths: Sequence[Path], run: FinishedDetector, *, with_drawing: bool) -> Iterator[Found]:
    """What a detector finds in each file, in order."""
    for number, path in enumerate(paths, 1):
        try:
            picture = run.read(path)
        except ImageError as error:
            yield Found(path=path, results=[], error=str(error))
            continue
        (output,) = run.find([picture])
        results = to_coco_results([output], [{"image_id": number}], run.category_ids)  # type: ignore[dict-item]
        results = [one | {"file_name": path.name} for one in results]
        drawn = draw_objects(picture, output, run.class_names, least_score=LEAST_SCORE) if with_drawing else None
        yield Found(path=path, results=results, drawn=drawn)


def _make_folder(path: Path, pictures: Sequence[Path]) -> None:
    if any(path.resolve() == picture.resolve().parent for picture in pictures):
        raise ValueError(f"--draw: {path} holds pictures to be drawn on, which might be written over: name another.")
    if path.exists() and not path.is_dir():
        raise ValueError(f"--draw: {path} is a file; name a folder.")
    path.mkdir(parents=True, exist_ok=True)


def _drawing_name(place: int, path: Path, paths: Sequence[Path]) -> str:
    """The file's own name; with its place ahead where others are called the same."""
    same = sum(other.stem == path.stem for other in paths) > 1
    return f"{f'{place + 1}-' if same else ''}{path.stem}.png"


def _print_table(all_found: Sequence[Found], run: FinishedDetector) -> None:
    named = dict(zip(run.category_ids, run.class_names, strict=True))
    rows = []
    for found in all_found:
        sure = [one for one in found.results if one["score"] >= LEAST_SCORE]
        words = [f"{printable(named[one['category_id']])} {one['score']:.0%}" for one in sure[:MOST_LISTED]]
        words += [f"{len(sure) - MOST_LISTED} more"] if len(sure) > MOST_LISTED else []
        rows.append((printable(found.path), "–" if found.error else ", ".join(words) or "nothing found"))
    print_rows(("image", f"objects, {LEAST_SCORE:.0%} sure or more"), rows)
