"""Lambda layers or 3 × 3 convolutions under the same detector? Scenes of digits, the same schedule, the same seeds.

    python -m benchmarks.scenes

Both backbones have the same stem, blocks and channels between blocks, and nearly as many parameters
(`detection.scenes`). Every run is the recipe `digit_scenes` but for the backbone, the seed, and seven epochs of 1 000
scenes in place of more; its settings were chosen with the lambda backbone, on scenes by held-out hands. Runs are kept
in `--work`: finished ones are not repeated, others are gone on with. The table goes to benchmarks/reports and into
docs/detection.md, between two marks; whatever it says.
"""

import argparse
import datetime
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import write_report
from lambdanets.recipes.registry import find_recipe
from lambdanets.study.measuring import cpu_name
from lambdanets.training.folder import RunFolder
from lambdanets.training.host import Watcher
from lambdanets.training.journal import Record
from lambdanets.training.run import begin_run, finish_run, prepare_run, read_result, resume_run, train_run

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "detection.md"
BACKBONES = {"lambda_scenes": "lambda layers", "conv_scenes": "3 × 3 convolutions"}
EPOCHS, NUM_TRAIN = 7, 1000
NUMBERS = ("box_ap", "box_ap50", "box_ap75", "mask_ap")


def main(words: Sequence[str] = sys.argv[1:]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="train with seeds 0 … N − 1")
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "scenes", help="where runs are kept")
    asked = parser.parse_args(words)
    found = {
        name: [trained(asked.work / f"{name}-{seed}", name, seed) for seed in range(asked.seeds)]
        for name in asked.backbones
    }
    if asked.backbones == list(BACKBONES):
        publish("\n".join(table(found)))


def trained(path: Path, backbone: str, seed: int) -> Record:
    """The result of one run; it is begun, gone on with, or read."""
    folder = RunFolder(path)
    if folder.config.exists() and (result := read_result(folder)):
        return result
    settings = [f"model={backbone}", f"seed={seed}", f"epochs={EPOCHS}", f"data.num_train={NUM_TRAIN}"]
    run = prepare_run(find_recipe("digit_scenes", settings))
    if folder.config.exists():
        resume_run(run, folder)
    else:
        begin_run(run, path)
    print(f"{path}: from step {run.state.step} of {run.num_steps}", flush=True)
    train_run(run, folder, Watcher(tell=print))
    return finish_run(run, folder)


def table(found: dict[str, list[Record]]) -> list[str]:
    """A line a run, and mean and spread of each backbone."""
    lines = ["| backbone | seed | box AP | box AP 50 | box AP 75 | mask AP |", "|---|--:|--:|--:|--:|--:|"]
    for name, results in found.items():
        numbers = [[100 * float(result[f"test_{number}"] or 0) for number in NUMBERS] for result in results]
        lines += [
            row(BACKBONES[name], str(result["seed"]), line) for result, line in zip(results, numbers, strict=True)
        ]
        columns = list(zip(*numbers, strict=True))
        lines.append(row("", "mean", [statistics.mean(column) for column in columns]))
        lines.append(row("", "max − min", [max(column) - min(column) for column in columns]))
    sizes = ", ".join(f"{BACKBONES[name]} {results[0]['parameters']:,}" for name, results in found.items())
    steps = next(iter(found.values()))[0]["steps"]
    return [
        *lines,
        "",
        f"Judged on 200 test scenes. Parameters of the whole detector: {sizes}. Every run: {steps} steps, one thread.",
        "",
        f"Measured: {cpu_name()}, {datetime.date.today()}, `python -m benchmarks.scenes`.",
    ]


def row(backbone: str, seed: str, numbers: Sequence[float]) -> str:
    return f"| {backbone} | {seed} | {' | '.join(f'{number:.1f}' for number in numbers)} |"


def publish(text: str) -> None:
    """Print the table, and put it where it belongs."""
    print(text)
    print(write_report("scenes", text))
    marks = r"(<!-- table -->\n).*?(<!-- end of table -->)"
    before = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(re.sub(marks, rf"\1\n{text}\n\n\2", before, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
