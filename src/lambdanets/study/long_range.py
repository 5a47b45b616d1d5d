"""A controlled study, since ImageNet is not at hand: small networks that differ in how they mix, and in width.

Two tasks: which of four marks are alike, at three distances (`data.like_marks`), and the bundled digits.
docs/decisions/0012-long-range.md fixes the first task, and says what it asks for and what not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from lambdanets.data.like_marks import PATCH, LikeMarksConfig
from lambdanets.study.drawing import as_png, drawing, series
from lambdanets.study.measuring import fresh_answer
from lambdanets.study.part import Answer, Piece, StudyOptions
from lambdanets.study.probe_runs import ProbeRun
from lambdanets.study.shown import Column, Figure, Shown, Table

SEEDS = (0, 1, 2)
PICTURES = LikeMarksConfig().num_train
QUICK_PICTURES, QUICK_MODELS = 4_800, ("probe_convolution", "probe_dilated", "probe_lambda")
DIGITS_EPOCHS = 12
LIMIT = 16 * 2**30
TIMEOUT = 12 * 3600.0
SIDE = LikeMarksConfig().image_size
DISTANCES = tuple(map(str, LikeMarksConfig().distances))


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """One way of mixing positions."""

    label: str
    model: str
    seconds: float
    """About what a whole training takes on one busy core."""
    top1: float | None = None
    """What the paper prints for it in ResNet-50 on ImageNet."""
    options: Mapping[str, Any] = field(default_factory=dict)

    def run(self, recipe: str, seed: int, *changes: str) -> ProbeRun:
        """Its training on a task."""
        return ProbeRun(recipe=recipe, model=self.model, model_options=self.options, seed=seed, changes=changes)


MECHANISMS = (
    Mechanism(label="patches of 7 pixels (reference)", model="probe_patches", seconds=75),
    Mechanism(label="convolution 3 × 3, dilated (reference)", model="probe_dilated", seconds=70),
    Mechanism(label="convolution 3 × 3", model="probe_convolution", seconds=70, top1=76.9),
    Mechanism(label="convolution 3 × 3 + channel attention (SE)", model="probe_se", seconds=75, top1=77.6),
    Mechanism(label="linear attention (Shen 2018)", model="probe_linear_attention", seconds=100, top1=77.3),
    Mechanism(label="global self-attention, relative", model="probe_attention", seconds=400),
    Mechanism(label="axial self-attention", model="probe_axial_attention", seconds=185, top1=77.5),
    Mechanism(label="local self-attention 7 × 7", model="probe_local_attention", seconds=400, top1=77.4),
    Mechanism(label="lambda layer", model="probe_lambda", seconds=140, top1=78.4),
)


def _ablation(label: str, seconds: float = 140, **options: Any) -> Mechanism:
    return Mechanism(label=label, model="probe_lambda", seconds=seconds, options=options)


ABLATIONS = (
    _ablation("content only", scope=None),
    _ablation("position only", content=False),
    _ablation("scope 3", scope=3),
    _ablation("scope 7", scope=7),
    _ablation("scope 15", scope=15),
    _ablation("k = 8", dim_key=8),
    _ablation("k = 32", dim_key=32),
    _ablation("h = 1", num_heads=1),
    _ablation("h = 2", num_heads=2),
    _ablation("u = 4, scope 23", dim_intra=4, scope=23, seconds=400),
    _ablation("keys not normalised", normalize_keys="none"),
)


@dataclass(frozen=True)
class LongRange:
    """The part `long-range`."""

    name: str = "long-range"
    title: str = "A controlled study of long range"

    def pieces(self, options: StudyOptions) -> Sequence[Piece]:
        """Every network trained with every seed: on the like marks, then on the digits; seed by seed."""
        return [
            Piece(
                key=run.key,
                seconds=mechanism.seconds * share,
                work=partial(_train, run, options.folder / "long-range" / run.key, options.device),
                beside=True,
            )
            for mechanism, run, share in _runs(options)
        ]

    def shown(self, options: StudyOptions, answers: Mapping[str, Answer]) -> Shown:
        """A table like the paper's Table 3, one of the digits, one of the ablations; a picture of the distances."""
        tables = [_marks_table("long-range", "Which marks are alike?", _mechanisms(options), options, answers)]
        if not options.quick:
            tables.append(_digits_table(answers))
        if options.full:
            chosen = [next(one for one in MECHANISMS if one.model == "probe_lambda"), *ABLATIONS]
            tables.append(_marks_table("long-range-ablations", "What the lambda layer needs", chosen, options, answers))
        return Shown(
            title=self.title,
            summary=[*_question(options), _finding(options, answers)],
            tables=tables,
            figures=[_figure(options, answers)],
        )


def _mechanisms(options: StudyOptions) -> Sequence[Mechanism]:
    return [one for one in MECHANISMS if one.model in QUICK_MODELS] if options.quick else MECHANISMS


def _seeds(options: StudyOptions) -> Sequence[int]:
    return SEEDS[:1] if options.quick else SEEDS


def _marks(mechanism: Mechanism, seed: int, options: StudyOptions) -> ProbeRun:
    changes = (f"data.num_train={QUICK_PICTURES}",) if options.quick else ()
    return mechanism.run("long_range", seed, *changes)


def _digits(mechanism: Mechanism, seed: int) -> ProbeRun:
    return mechanism.run("digits", seed, f"epochs={DIGITS_EPOCHS}", "num_threads=1")


def _runs(options: StudyOptions) -> Iterator[tuple[Mechanism, ProbeRun, float]]:
    """Mechanism, training, and its length over that of a whole one; the longest of a seed first."""
    longest_first = sorted(_mechanisms(options), key=lambda one: -one.seconds)
    for seed in _seeds(options):
        for one in longest_first:
            yield one, _marks(one, seed, options), QUICK_PICTURES / PICTURES if options.quick else 1.0
    if not options.quick:
        yield from ((one, _digits(one, seed), 0.4) for seed in SEEDS for one in longest_first)
    if options.full:
        yield from ((one, _marks(one, seed, options), 1.0) for seed in SEEDS for one in ABLATIONS)


def _train(run: ProbeRun, path: Path, device: str) -> Answer:
    """The answer of a process of its own, which goes on with a training that was stopped."""
    answer = fresh_answer(
        "lambdanets.study.probe_runs:answer_of",
        limit=LIMIT,
        device=device,
        timeout=TIMEOUT,
        path=str(path),
        recipe=run.recipe,
        assignments=run.assignments,
    )
    if isinstance(answer, str):
        raise RuntimeError(f"{run.key}: {answer}; free some memory, or call again to go on.")
    return answer


def _marks_table(
    name: str, title: str, chosen: Sequence[Mechanism], options: StudyOptions, answers: Mapping[str, Answer]
) -> Table:
    seeds = _seeds(options)
    has_paper = name == "long-range"
    columns = (
        Column(name="mixing of positions", origin="label"),
        *([Column(name="top-1 of ResNet-50 on ImageNet", origin="paper", unit="%", digits=1)] if has_paper else []),
        Column(name="parameters", origin="counted"),
        Column(name="right", origin="measured", unit="%", digits=1),
        Column(name="spread over seeds", origin="measured", unit="points", digits=1),
        *(Column(name=f"right at {distance} pixels", origin="measured", unit="%", digits=1) for distance in DISTANCES),
    )
    rows = []
    for one in chosen:
        found = [answers[_marks(one, seed, options).key] for seed in seeds]
        right = [100 * answer["accuracy"] for answer in found]
        rows.append((
            one.label,
            *([one.top1] if has_paper else []),
            found[0]["parameters"],
            mean(right),
            max(right) - min(right),
            *(mean(100 * answer["by_distance"][distance] for answer in found) for distance in DISTANCES),
        ))  # fmt: skip
    judged = answers[_marks(chosen[0], seeds[0], options).key]["judged"]
    notes = (
        f"{_pictures(options):,} training pictures, {judged:,} others to judge by, as many of each answer; 50 % is "
        f"chance. Means over {_counted(len(seeds), 'seed')}; spread: the best seed less the worst.",
    )
    return Table(name=name, title=title, columns=columns, rows=tuple(rows), notes=notes)


def _digits_table(answers: Mapping[str, Answer]) -> Table:
    rows = []
    for one in MECHANISMS:
        found = [answers[_digits(one, seed).key] for seed in SEEDS]
        right = [100 * answer["accuracy"] for answer in found]
        rows.append((one.label, found[0]["parameters"], mean(right), max(right) - min(right)))
    return Table(
        name="long-range-digits",
        title="The bundled digits",
        columns=(
            Column(name="mixing of positions", origin="label"),
            Column(name="parameters", origin="counted"),
            Column(name="right", origin="measured", unit="%", digits=1),
            Column(name="spread over seeds", origin="measured", unit="points", digits=1),
        ),
        rows=tuple(rows),
        notes=(
            f"The same networks, {DIGITS_EPOCHS} epochs of 1 287 scanned digits, judged on 510 by other hands; means "
            f"over {_counted(len(SEEDS), 'seed')}. Strokes are local: a task for which long range is not needed.",
        ),
    )


def _figure(options: StudyOptions, answers: Mapping[str, Answer]) -> Figure:
    """A panel a distance, a row a mechanism, a dot a seed."""
    chosen = _mechanisms(options)
    with drawing(len(DISTANCES), height=1.3 + 0.34 * len(chosen), sharey=True) as (figure, panels):
        for axes, distance in zip(panels, DISTANCES, strict=True):
            for row, one in enumerate(chosen):
                found = [answers[_marks(one, seed, options).key] for seed in _seeds(options)]
                right = [100 * answer["by_distance"][distance] for answer in found]
                look = series(row) | {"linestyle": "none", "alpha": 0.85}
                axes.plot(right, [row] * len(right), **look)
            axes.axvline(50, color="black", linewidth=0.8)
            axes.set_xlim(min(44, axes.get_xlim()[0]), 102)
            axes.set_title(f"{distance} pixels apart")
            axes.set_xlabel("right, %")
        panels[0].set_yticks(range(len(chosen)), [one.label for one in chosen])
        panels[0].invert_yaxis()
        png = as_png(figure)
    return Figure(
        name="long-range",
        title="Which marks are alike? By distance",
        png=png,
        caption="One dot a seed; the line is chance. Three 3 × 3 convolutions see 31 pixels a side: enough everywhere.",
    )


def _question(options: StudyOptions) -> Iterator[str]:
    yield (
        "Which layers learn what nothing near tells? Four strokes stand at the corners of a square, two leaning to the "
        "left, two to the right. Do like ones stand side by side, or one above the other? The networks have three "
        f"bottlenecks on a {SIDE // 4} × {SIDE // 4} map, nearly equally many parameters, and the same training; what "
        "mixes positions differs, and the width."
    )
    yield (
        f"No bag of patches of {PATCH} pixels can tell, whatever is made of it, nor sums over rows and columns: let "
        "two strokes in opposite corners change places, and the answer changes, but no patch except its place. Two "
        "strokes must be seen at once, or strokes and their places. Whatever mixes without positions is at chance by "
        "construction: patches and linear attention. docs/decisions/0012-long-range.md says more."
    )
    if options.quick:
        yield "With --quick three networks see three tenths of the pictures, with one seed: this compares nothing."


def _finding(options: StudyOptions, answers: Mapping[str, Answer]) -> str:
    """Who was right most often, and who did not leave chance; no more than the numbers say."""
    found = []
    for one in _mechanisms(options):
        right = [100 * answers[_marks(one, seed, options).key]["accuracy"] for seed in _seeds(options)]
        found.append((mean(right), min(right), max(right), one.label))
    found.sort(reverse=True)
    order = "; ".join(f"{label} {best:.1f} % ({low:.1f} to {high:.1f})" for best, low, high, label in found)
    return (
        f"After {_pictures(options):,} pictures, over all distances: {order}. What stayed near 50 % did not "
        "learn it by this training; that says nothing about others."
    )


def _pictures(options: StudyOptions) -> int:
    return QUICK_PICTURES if options.quick else PICTURES


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
