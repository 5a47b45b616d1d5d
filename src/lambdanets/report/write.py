"""The files that a finished run gains: pictures and the page."""

import json
import shlex

from torch import nn

from lambdanets.printable import printable
from lambdanets.report.figures import draw_confusion, draw_mistakes, draw_predictions
from lambdanets.report.files import ReportFiles
from lambdanets.report.findings import Findings, find_out
from lambdanets.report.report_page import report_page
from lambdanets.training.classification import ClassificationTask
from lambdanets.training.folder import RunFolder
from lambdanets.training.journal import read_journal
from lambdanets.training.run import read_result
from lambdanets.whole_file import write_whole


def write_report(task: ClassificationTask, model: nn.Module, folder: RunFolder) -> Findings:
    """What was found out about a finished run; it now stands in the run's folder, the page written last.

    Raises:
        ValueError: the run is not finished.
        OSError: the folder cannot be written.
    """
    result = read_result(folder)
    if result is None:
        raise ValueError(f"{folder.path} holds no finished run: finish it with --resume, then write its report.")
    findings, files = find_out(task, model), ReportFiles(folder.path)
    draw_confusion(findings, files.confusion)
    draw_mistakes(findings, files.mistakes)
    draw_predictions(findings, files.predictions)
    command = folder.command.read_text(encoding="utf-8").splitlines()[0] if folder.command.exists() else None
    environment = json.loads(folder.environment.read_text()) if folder.environment.exists() else {}
    page = report_page(
        findings,
        result=result,
        records=read_journal(folder.metrics),
        command=command,
        environment=environment,
        folder=printable(shlex.quote(str(folder.path))),
    )
    write_whole(files.page, page.encode())
    return findings
