"""Do pseudo-labels help? The digits with 100 labels: a teacher on the 100 alone, a student that also sees the rest.

    python -m benchmarks.pseudo_labels

The 100 labels are ten of each digit, the same in every run. For each seed a teacher is trained on them alone; it labels
the other 1 187 training images; a student, the same network from the same initial weights, is trained on both. Both
take the same number of optimizer steps on batches of the same size. The teacher is what is compared with: "100 alone".

`--validation` judges on training forms that are held out (and are then in no pool) in place of the test: settings are
chosen so. Runs are kept in `--work`: finished ones are not repeated, others are gone on with. The table goes to
benchmarks/reports and into docs/pseudo-labels.md, between two marks.
"""

import argparse
import datetime
import re
import shlex
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.harness import cpu_name
from lambdanets.data.digits import POOL, DigitsConfig
from lambdanets.data.loader import LoaderConfig
from lambdanets.data.pseudo import read_labels
from lambdanets.finished import load_run
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.folder import RunFolder
from lambdanets.training.labelling import Filters, label_pool, write_chosen
from lambdanets.training.run import begin_run, finish_run, prepare_run, read_result, resume_run, train_run

ROOT = Path(__file__).parents[1]
HELD_OUT = "2,5"
"""Forms to choose settings by: those that teachers on other labels found hardest."""


def main() -> None:
    asked = arguments()
    rows = [measure(seed, asked) for seed in range(asked.seeds)]
    report = "\n".join(table(rows, asked))
    print(report)
    if not asked.validation:
        publish(report, asked)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="train with seeds 0 … N − 1")
    parser.add_argument("--steps", type=int, default=300, help="optimizer steps of every run")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--share", type=float, default=0.75, help="share of the student's batches with pseudo-labels")
    parser.add_argument("--hard", action="store_true", help="hard labels in place of soft ones")
    parser.add_argument("--min-confidence", type=float, default=0.0)
    parser.add_argument("--validation", action="store_true", help=f"judge on training forms {HELD_OUT}")
    parser.add_argument("--work", type=Path, default=Path("runs/pseudo-labels"), help="where runs are kept")
    return parser.parse_args()


@dataclass(frozen=True)
class Row:
    """What came of one seed; accuracies in percent."""

    seed: int
    alone: float
    student: float
    labels: int
    right: float
    """Percent of the pseudo-labels that are right: counted afterwards, and used for nothing."""


def measure(seed: int, asked: argparse.Namespace) -> Row:
    """A teacher and its student, or what is kept of them."""
    folder = asked.work / ("validation" if asked.validation else "test") / f"{asked.steps}x{asked.batch_size}"
    folder.mkdir(parents=True, exist_ok=True)
    alone = trained(folder / f"teacher-{seed}", seed, asked, [])
    form = "hard" if asked.hard else "soft"
    labels = folder / f"labels-{seed}-{form}-{asked.min_confidence:g}"
    if not labels.exists():
        label(folder / f"teacher-{seed}", labels, asked)
    settings = [f"data.pseudo.labels={labels}", f"data.pseudo.share={asked.share}"]
    student = trained(folder / f"student-{seed}-{form}-{asked.min_confidence:g}-{asked.share:g}", seed, asked, settings)
    row = Row(seed, alone, student, *judged_labels(labels))
    print(row, flush=True)
    return row


def trained(folder: Path, seed: int, asked: argparse.Namespace, more: list[str]) -> float:
    """The accuracy of a run on what it is judged on, in percent; trained now unless that is done."""
    result = read_result(RunFolder(folder))
    if result is None:
        settings = [
            f"seed={seed}",
            "num_threads=1",
            "checkpoint.every_steps=50",
            "data.labelled=100",
            f"batch_size={asked.batch_size}",
            *more,
        ]
        config = find_recipe("digits", [*settings, *[f"data.validation_forms={HELD_OUT}"] * asked.validation])
        samples = prepare_run(config).task.num_samples
        run = prepare_run(replace(config, epochs=asked.steps * asked.batch_size / samples))
        assert run.num_steps == asked.steps
        opened = RunFolder(folder)
        if opened.config.exists():
            resume_run(run, opened)  # it was cut short
        else:
            begin_run(run, folder)
        train_run(run, opened)
        result = finish_run(run, opened)
    return 100 * float(result["validation_accuracy" if asked.validation else "test_accuracy"] or 0)


def label(teacher: Path, labels: Path, asked: argparse.Namespace) -> None:
    run, journal = load_run(teacher), labels.with_suffix(".journal")
    assert isinstance(run.config.data, DigitsConfig)
    header = {"classes": list(run.task.class_names), "pool": POOL, "teacher": {"run": str(teacher)}}
    pool = run.config.data.load_pool()
    label_pool(
        lambda images: run.task.logits(run.model, images), pool, journal, header, batch_size=64, loader=LoaderConfig()
    )
    write_chosen(journal, labels, Filters(soft=not asked.hard, min_confidence=asked.min_confidence))


def judged_labels(path: Path) -> tuple[int, float]:
    """(how many labels, percent of them right)."""
    from sklearn.datasets import load_digits

    truth, found = load_digits().target, read_labels(path)
    said = found.targets.at(np.arange(len(found.names)))
    classes = said.argmax(1).numpy() if said.ndim == 2 else said.numpy()
    numbers = [int(name.removeprefix("digit ")) for name in found.names]
    return len(numbers), 100 * float((classes == truth[numbers]).mean())


def table(rows: list[Row], asked: argparse.Namespace) -> list[str]:
    """Lines of Markdown: a row a seed, the means and spreads, and what that says."""
    alone, student = [row.alone for row in rows], [row.student for row in rows]
    spreads = [max(values) - min(values) for values in (alone, student)]
    gain = statistics.mean(student) - statistics.mean(alone)
    lines = ["| seed | 100 labels alone, % | with pseudo-labels, % | gain | pseudo-labels | of them right, % |"]
    lines.append("|--:|--:|--:|--:|--:|--:|")
    for row in rows:
        counts = f"{row.student - row.alone:+.2f} | {row.labels:,} | {row.right:.1f}"
        lines.append(f"| {row.seed} | {row.alone:.2f} | {row.student:.2f} | {counts} |")
    lines.append(f"| mean | {statistics.mean(alone):.2f} | {statistics.mean(student):.2f} | {gain:+.2f} | | |")
    lines.append(f"| max − min | {spreads[0]:.2f} | {spreads[1]:.2f} | | | |")
    verdict = "larger than both spreads" if gain > max(spreads) else "not larger than both spreads"
    judged = f"training forms {HELD_OUT}, held out" if asked.validation else "the 510 test digits"
    form = f"{'hard' if asked.hard else 'soft'} labels from confidence {asked.min_confidence:g}"
    lines += ["", f"Judged on {judged}. The mean gain, {gain:.2f} points, is {verdict}."]
    lines.append(
        f"Every run: lambda_tiny, {asked.steps} steps of {asked.batch_size} images; {form}, share {asked.share}."
    )
    return lines


def publish(report: str, asked: argparse.Namespace) -> None:
    """Put the table into a dated report and between the marks of docs/pseudo-labels.md."""
    command = shlex.join(["python", "-m", "benchmarks.pseudo_labels", *sys.argv[1:]])
    date = datetime.date.today().isoformat()
    text = f"{report}\n\nMeasured: {cpu_name()}, one thread, {date}, `{command}`."
    (ROOT / "benchmarks" / "reports" / f"pseudo_labels_{date}.md").write_text(f"# Pseudo-labels\n\n{text}\n")
    page = ROOT / "docs" / "pseudo-labels.md"
    marks = r"(<!-- table -->\n).*?(<!-- end of table -->)"
    page.write_text(re.sub(marks, lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
