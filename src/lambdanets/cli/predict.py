"""`lambdanets predict`: what a finished run says of image files."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lambdanets.cli.mistakes import EXIT_FAILED, mistakes_reported


def predict(
    run: Path,
    /,
    *images: Path,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
    page: Path | None = None,
    draw: Path | None = None,
    device: str | None = None,
) -> int:
    """Say what is in image files: the five likeliest classes with probabilities, or the objects that are found.

    Example: lambdanets predict runs/first digit.png photos/ --page predictions.html

    A digit may be drawn or photographed, dark on light or light on dark, anywhere in a picture that shows nothing else.

    Args:
        run: Folder of a finished run.
        images: Image files, or folders of them.
        json_: Print one JSON object for each image, a line each, in place of the table.
        page: Also write a page with the pictures to this .html file.
        draw: Of a detector: draw what is found on the pictures, into this folder, and write it there as detections.json
            in the form of COCO's results.
        device: Where the network runs: cpu or cuda; by default where it was trained.
    """
    from lambdanets.cli.answers import answer_table, check_page, predict_images
    from lambdanets.data.images import find_images
    from lambdanets.finished import as_classifier, as_detector, is_detector, open_run
    from lambdanets.printable import printable
    from lambdanets.report.predictions_page import predictions_page
    from lambdanets.whole_file import write_whole

    with mistakes_reported():
        if not images:
            raise ValueError("got no image: name image files, or folders of them, after the run.")
        check_page(page)
        found = find_images(images)
        stored = open_run(run, device)
        if is_detector(stored):
            from lambdanets.cli.objects_found import predict_objects

            if page is not None:
                raise ValueError("--page: a detector draws on the pictures themselves: name a folder, --draw OUT.")
            return predict_objects(found, as_detector(stored), as_json=json_, draw=draw)
        if draw is not None:
            raise ValueError(f"--draw: {run} names pictures as a whole and finds no objects: take --page OUT.html.")
        answers = predict_images(found, as_classifier(stored))
        if page is not None:
            write_whole(page, predictions_page(answers, printable(run)).encode())
    for answer in answers if json_ else ():
        print(json.dumps(answer.as_json()))  # escapes what is not ASCII: no name can upset a terminal, and none is lost
    if not json_:
        answer_table(answers)
        if page is not None:
            print(f"page  {printable(page)}")
    return 0 if all(answer.top for answer in answers) else EXIT_FAILED
