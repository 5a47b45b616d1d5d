"""The page that a finished detector gains."""

import numpy as np
from torch import nn
from torchvision.transforms.functional import to_pil_image

from lambdanets.detection.precision import Precision
from lambdanets.detection.task import DetectionTask
from lambdanets.printable import printable
from lambdanets.report.detections_page import Judged, Pictured, detections_page
from lambdanets.report.files import ReportFiles
from lambdanets.training.folder import RunFolder
from lambdanets.training.run import read_result
from lambdanets.whole_file import write_whole

NUM_SHOWN = 24
"""Pictures on the page, evenly spread over the split."""


def write_detections(task: DetectionTask, model: nn.Module, precision: Precision, folder: RunFolder) -> None:
    """Write report.html into the folder of a finished run: its numbers, and pictures with what is found in them.

    Raises:
        ValueError: the run is not finished.
        OSError: the folder cannot be written.
    """
    result = read_result(folder)
    if result is None:
        raise ValueError(f"{folder.path} holds no finished run: finish it with --resume, then write its report.")
    seconds = float(result["train_seconds"] or 0)
    judged = Judged(
        run=printable(folder.path),
        split=task.split,
        num_images=precision.num_images,
        scores=precision.of,
        classes=task.class_names,
        facts=(
            ("backbone", str(result["model"])),
            ("parameters", f"{result['parameters']:,}"),
            ("training", f"{result['steps']:,} steps, {seconds:,.0f} s"),
            ("seed", str(result["seed"])),
        ),
        notes=precision.notes,
    )
    write_whole(ReportFiles(folder.path).page, detections_page(judged, picture_some(task, model)).encode())


def picture_some(task: DetectionTask, model: nn.Module, count: int = NUM_SHOWN) -> list[Pictured]:
    """Some of the judged pictures that can be read, with what the model finds in them and what is there."""
    total = len(task.judged)
    places = np.unique(np.linspace(0, total - 1, min(count, total)).astype(np.int64))
    was_training = model.training
    model.eval()
    shown = []
    for place in places:
        batch = task.judged.plain(place[None])
        if batch.weights[0] > 0:
            (found,) = task.outputs(model, batch.images)
            picture = to_pil_image(batch.images[0].clamp(0, 1))
            name = task.judged.name(int(place))
            shown.append(Pictured(name=name, picture=picture, found=found, truth=batch.targets[0]))
    model.train(was_training)
    return shown
