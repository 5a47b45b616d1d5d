"""What the command line says when a run ends, and what to do next."""

import shlex
from datetime import datetime
from pathlib import Path

from lambdanets.cli.own_name import own_name
from lambdanets.cli.stopped import NOTHING_BEGUN
from lambdanets.printable import counted
from lambdanets.report.files import ReportFiles
from lambdanets.training.checkpoint import list_checkpoints
from lambdanets.training.folder import RunFolder
from lambdanets.training.journal import Record, read_journal
from lambdanets.training.profile import profile_of
from lambdanets.training.run import Run


def describe_result(result: Record, folder: RunFolder) -> str:
    """How good the network is, time, what of it the loop cost, what could not be read, and where things are."""
    costs, seconds = profile_of(read_journal(folder.metrics)), float(result["train_seconds"] or 0)
    return (
        f"{_how_good(result)}, {result['parameters']:,} parameters, {seconds:.0f} s of training\n"
        f"{'' if costs is None else costs.sentence + chr(10)}"
        f"{_skipped(folder)}"
        f"weights {folder.weights}\ncurves  {folder.curves}\nresult  {folder.result}"
    )


def _skipped(folder: RunFolder) -> str:
    """A line about the training pictures that could not be read, where there are any."""
    if not folder.skipped.exists():
        return ""
    count = folder.skipped.read_bytes().count(b"\n")
    return f"{counted(count, 'training image')} could not be read and taught nothing: {folder.skipped}\n"


def _how_good(result: Record) -> str:
    """Accuracy, or AP in points of 100."""
    split = "test" if "test_images" in result else "validation"
    found = {name.removeprefix(f"{split}_"): value for name, value in result.items()}
    if "box_ap" in found:
        box, mask = (100 * float(found[f"{kind}_ap"] or 0) for kind in ("box", "mask"))
        return f"{split} box AP {box:.1f}, mask AP {mask:.1f} ({counted(int(found['images'] or 0), 'image')})"
    strangers = ", by hands it never saw" if result["recipe"] == "digits" else ""
    right = f"{found['correct']} of {found['images']} images{strangers}"
    return f"{split} accuracy {float(found['accuracy'] or 0):.2%} ({right})"


def describe_next(folder: RunFolder) -> str:
    """What there is to look at, and what to try."""
    path = shlex.quote(str(folder.path))
    page = ReportFiles(folder.path).page
    report = f"report  {page}" if page.exists() else f"report  {own_name()} evaluate {path} --report"
    return (
        f"{report}\n\nNext:\n"
        f"{own_name()} evaluate {path}          judge these weights again, class by class\n"
        f"{own_name()} predict {path} IMAGE…    try them on pictures of your own"
    )


def describe_interruption(run: Run, folder: RunFolder) -> str:
    """Where the run stands, and the command that goes on."""
    return (
        f"Saved at step {run.state.step} of {run.num_steps}. To continue:\n{resume_command(run.config.recipe, folder)}"
    )


def describe_standing(path: Path, recipe: str) -> str:
    """What the folder of a run that was stopped outside its steps holds, and the command that goes on."""
    folder = RunFolder(path)
    if not folder.config.exists():
        return NOTHING_BEGUN
    if folder.result.exists():
        return f"Trained and judged; to write its report:\n{own_name()} evaluate {shlex.quote(str(path))} --report"
    saved = list_checkpoints(folder.checkpoints)
    where = f"Saved at step {int(saved[0].name.removeprefix('step-'))}" if saved else "Begun, no step saved yet"
    return f"{where}. To continue:\n{resume_command(recipe, folder)}"


def resume_command(recipe: str, folder: RunFolder) -> str:
    """What to type to go on with the run in a folder."""
    return f"{own_name()} train {recipe} --out {shlex.quote(str(folder.path))} --resume"


def fresh_folder(recipe: str) -> Path:
    """A folder name that no other run has: runs/<date>-<time>-<recipe>."""
    return Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{recipe}"
