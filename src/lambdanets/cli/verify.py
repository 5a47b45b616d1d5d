"""`lambdanets verify`: whether a run still is what was written."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lambdanets.cli.mistakes import EXIT_FAILED, mistakes_reported

if TYPE_CHECKING:
    from lambdanets.training.soundness import Checked


def verify(run: Path, /, *, json_: Annotated[bool, Parameter(name="--json", negative=())] = False) -> int:
    """Check that the checkpoints and results of a run are, bit for bit, what was written.

    Example: lambdanets verify runs/first

    Args:
        run: Folder of a run, finished or not.
        json_: Print one line of JSON for each thing in place of the table.
    """
    from lambdanets.training.folder import RunFolder
    from lambdanets.training.soundness import verify_run

    with mistakes_reported():
        findings = verify_run(RunFolder(run))
    wrong = [finding for finding in findings if finding.wrong]
    if json_:
        for finding in findings:
            print(json.dumps(asdict(finding)))
    else:
        _show(findings, wrong)
    return EXIT_FAILED if wrong else 0


def _show(findings: "list[Checked]", wrong: "list[Checked]") -> None:
    from lambdanets.cli.table import print_rows
    from lambdanets.printable import printable

    if not findings:
        print("Nothing to verify yet: no checkpoint and no result.")
        return
    print_rows(["", "state"], [(printable(finding.name), finding.wrong or "sound") for finding in findings])
    print()
    for finding in wrong:
        print(f"{printable(finding.name)}: {finding.way_out}.")
    if not wrong:
        print(f"All {len(findings)} are what was written.")
