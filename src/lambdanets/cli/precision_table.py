"""`evaluate` of a detector: average precision, for programs and for people."""

import json
from pathlib import Path

from lambdanets.cli.table import print_rows
from lambdanets.detection.precision import KINDS, Precision
from lambdanets.finished import StoredRun, as_detector
from lambdanets.printable import counted, printable
from lambdanets.report.detections_page import points
from lambdanets.report.files import ReportFiles


def evaluate_detector(stored: StoredRun, data: Path | None, *, as_json: bool, report: bool) -> None:
    """Judge a detector again and print what was found; with `report`, write its page anew."""
    run = as_detector(stored)
    task = run.task if data is None else run.task_on(data)
    precision = task.evaluate(run.model)
    if report:
        from lambdanets.report.write_detections import write_detections  # loads what draws

        write_detections(task, run.model, precision, run.folder)
    recorded = run.result.get(f"{task.split}_box_ap")
    as_recorded = recorded == precision["box_ap"] if data is None else None
    if as_json:
        found = {f"{task.split}_{name}": value for name, value in precision.items()}
        classes = {
            f"{kind}_{name}": value for kind in KINDS for name, value in precision.of[kind].items() if "/" in name
        }
        print(json.dumps({"run": str(run.folder.path)} | found | classes | {"as_recorded": as_recorded}))
        return
    print_precision(precision, task.split)
    if as_recorded is not None:
        print("\nAs the run recorded." if as_recorded else f"\nThe run had recorded a box AP of {recorded}.")
    page = ReportFiles(run.folder.path).page
    if page.exists():
        print(f"report  {printable(page)}")


def print_precision(precision: Precision, split: str) -> None:
    """The numbers of boxes and masks beside each other, in points of 100; – where there is nothing to be found."""
    boxes, masks = (precision.of[kind] for kind in KINDS)
    rows = [(printable(name), points(boxes[name]), points(masks[name])) for name in boxes]
    print_rows((f"{split}, {counted(precision.num_images, 'image')}", *KINDS), rows, numbers=True)
    for note in precision.notes:
        print(printable(note))
