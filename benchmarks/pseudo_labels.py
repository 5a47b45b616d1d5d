"""Do pseudo-labels help? The digits with 100 labels: a teacher on the 100 alone, a student that also sees the rest.

    python -m benchmarks.pseudo_labels

The 100 labels are ten of each digit, the same in every run. For each seed a teacher is trained on them alone; it labels
the other 1 187 training images; a student, the same network from the same initial weights, is trained on both, and is
the next student's teacher. All take the same number of optimizer steps on batches of the same size, varied in the same
way. The first teacher is what the last student is compared with: "100 alone".

`--validation` judges on training forms that are held out (and are then in no pool) in place of the test: settings are
chosen so. The defaults were fixed in that way before they were judged on the test. Runs are kept in `--work`: finished
ones are not repeated, others are gone on with. The table goes to benchmarks/reports and into docs/pseudo-labels.md,
between two marks.
"""

import argparse
import datetime
import re
import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lambdanets.data.digits import POOL, DigitsConfig
from lambdanets.data.loader import LoaderConfig
from lambdanets.data.pseudo import read_labels
from lambdanets.finished import load_run
from lambdanets.recipes.registry import find_recipe
from lambdanets.study.measuring import cpu_name
from lambdanets.training.folder import RunFolder
from lambdanets.training.labelling import Filters, label_pool, write_chosen
from lambdanets.training.run import begin_run, finish_run, prepare_run, read_result, resume_run, train_run

ROOT = Path(__file__).parents[1]
HELD_OUT = ("2,5", "0,8", "1,6", "3,13", "4,7")
"""Training forms to choose settings by, those of seed 0 first: every training form is held out once."""


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
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--share", type=float, default=0.75, help="share of the student's batches with pseudo-labels")
    parser.add_argument("--hard", action="store_true", help="hard labels in place of soft ones")
    parser.add_argument("--min-confidence", type=float, default=0.0)
    parser.add_argument("--views", type=int, default=0, help="average the teacher over so many variations of a picture")
    parser.add_argument(
        "--rounds", type=int, default=3, help="students; each but the first has the last as its teacher"
    )
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="for teachers and students")
    parser.add_argument("--validation", action="store_true", help="judge on training forms, others for every seed")
    parser.add_argument("--work", type=Path, default=Path("runs/pseudo-labels"), help="where runs are kept")
    return parser.parse_args()


@dataclass(frozen=True)
class Row:
    """What came of one seed; accuracies in percent."""

    seed: int
    alone: float
    students: tuple[float, ...]
    """Of every round."""
    right: tuple[float, ...]
    """Percent of every round's pseudo-labels that are right: counted afterwards, and used for nothing."""


def measure(seed: int, asked: argparse.Namespace) -> Row:
    """A teacher and its students, one after the other, or what is kept of them."""
    settings = "-".join([f"{asked.steps}x{asked.batch_size}", *sorted(asked.set)])
    folder = asked.work / ("validation" if asked.validation else "test") / settings
    folder.mkdir(parents=True, exist_ok=True)
    teacher = folder / f"teacher-{seed}"
    alone, students, right = trained(teacher, seed, asked, []), [], []
    form = f"{'hard' if asked.hard else 'soft'}-{asked.min_confidence:g}{f'-{asked.views}-views' * bool(asked.views)}"
    for number in range(1, asked.rounds + 1):
        labels = folder / f"labels-{seed}-{form}{f'-{asked.share:g}-round-{number}' * (number > 1)}"
        if not labels.exists():
            label(teacher, labels, asked)
        teacher = folder / f"student-{seed}-{form}-{asked.share:g}{f'-round-{number}' * (number > 1)}"
        more = [f"data.pseudo.labels={labels}", f"data.pseudo.share={asked.share}"]
        students.append(trained(teacher, seed, asked, more))
        right.append(judged_labels(labels))
    row = Row(seed, alone, tuple(students), tuple(right))
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
            *asked.set,
            *more,
        ]
        held_out = HELD_OUT[seed % len(HELD_OUT)]
        config = find_recipe("digits", [*settings, *[f"data.validation_forms={held_out}"] * asked.validation])
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
    run, journal = load_run(teacher), labels.with_name(f"{labels.name}.journal")
    assert isinstance(run.config.data, DigitsConfig)
    header = {"classes": list(run.task.class_names), "pool": POOL, "teacher": {"run": str(teacher)}}
    pool = run.config.data.load_pool()
    label_pool(
        lambda images: run.task.logits(run.model, images),
        pool,
        journal,
        header,
        batch_size=64,
        loader=LoaderConfig(),
        views=asked.views,
    )
    write_chosen(journal, labels, Filters(soft=not asked.hard, min_confidence=asked.min_confidence))


def judged_labels(path: Path) -> float:
    """Percent of the labels that are right."""
    from sklearn.datasets import load_digits

    (_, truth), found = load_digits(return_X_y=True), read_labels(path)
    said = found.targets.at(np.arange(len(found.names)))
    classes = said.argmax(1).numpy() if said.ndim == 2 else said.numpy()
    numbers = [int(name.removeprefix("digit ")) for name in found.names]
    return 100 * float((classes == truth[numbers]).mean())


def table(rows: list[Row], asked: argparse.Namespace) -> list[str]:
    """Lines of Markdown: a row a seed, the means and spreads, and what that says of the last round."""
    columns = [[row.alone for row in rows], *zip(*(row.students for row in rows), strict=True)]
    labels = list(zip(*(row.right for row in rows), strict=True))
    rounds = range(1, asked.rounds + 1)
    heads = ["seed", "100 labels alone, %", *(f"round {number}, %" for number in rounds), "gain"]
    heads += [f"right labels in round {number}, %" for number in rounds]
    lines = ["| " + " | ".join(heads) + " |", "|" + "--:|" * len(heads)]

    def add(name: object, figures: Sequence[float], right: Sequence[str], gain: str) -> None:
        """One more row."""
        lines.append("| " + " | ".join([str(name), *(f"{figure:.2f}" for figure in figures), gain, *right]) + " |")

    for row in rows:
        gain = f"{row.students[-1] - row.alone:+.2f}"
        add(row.seed, (row.alone, *row.students), [f"{share:.1f}" for share in row.right], gain)
    means, spreads = [*map(statistics.mean, columns)], [max(column) - min(column) for column in columns]
    gain = means[-1] - means[0]
    add("mean", means, [f"{statistics.mean(shares):.1f}" for shares in labels], f"{gain:+.2f}")
    add("max − min", spreads, [""] * len(labels), "")
    verdict = "larger than both spreads" if gain > max(spreads[0], spreads[-1]) else "not larger than both spreads"
    judged = "training forms held out, others for every seed" if asked.validation else "the 510 test digits"
    lines += ["", f"Judged on {judged}. The mean gain of the last round, {gain:.2f} points, is {verdict}."]
    return [*lines, described(asked)]


def described(asked: argparse.Namespace) -> str:
    """The settings, in a sentence."""
    form = f"{'hard' if asked.hard else 'soft'} labels from confidence {asked.min_confidence:g}, share {asked.share:g}"
    more = "".join(f", {setting}" for setting in asked.set)
    return f"Every run: lambda_tiny, {asked.steps} steps of {asked.batch_size} images{more}; {form}."


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
