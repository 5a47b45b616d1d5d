"""The part "memory": Table 4's column by its formulas, and the peak memory that each layer really takes.

The paper's argument: self-attention keeps a weight for each pair of positions and each image, b·h·n²; what a lambda
layer keeps for pairs of positions, k·n², is the same for all images. Letters: b batch, l layers, h heads, n positions,
k key depth, r scope.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lambdanets.study import mixers
from lambdanets.study.drawing import as_png, drawing, legend_below, named_ticks, plain_log, series
from lambdanets.study.measuring import OUT_OF_MEMORY, fresh_peak
from lambdanets.study.memory_formulas import (
    BYTES,
    KEY_DEPTH,
    NUM_AXES,
    ROUNDED,
    WINDOW,
    as_printed,
    formulas,
    table_4_bytes,
)
from lambdanets.study.paper import STUDY_HEADS, STUDY_SIDE
from lambdanets.study.part import Answer, Piece, StudyOptions
from lambdanets.study.shown import Cell, Column, Figure, Shown, Table

LIMITS = {"cpu": 4 * 2**30, "cuda": 32 * 2**30}
"""Bytes that a layer may take before it is out of memory: the same everywhere, so that answers can be compared."""
SIDES, BATCHES = (14, 28, 56, 112), (1, 2, 4, 8, 16, 32, 64, 128)
QUICK_SIDES, QUICK_BATCHES = (28, 56, 112), (1, 8, 32, 128)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer that is measured."""

    key: str
    """Its name in `mixers`."""
    name: str
    pairs: Callable[[int, int], int]
    """(b, n) → numbers kept for pairs of positions, by the paper's formula, for one layer."""
    is_quick: bool = True


LAYERS = (
    Layer(key="global", name="self-attention, global", pairs=lambda b, n: b * STUDY_HEADS * n * n),
    Layer(key="axial", name="self-attention, axial", pairs=lambda b, n: round(NUM_AXES * b * STUDY_HEADS * n**1.5)),
    Layer(key="local", name="self-attention, local 7 × 7", pairs=lambda b, n: b * STUDY_HEADS * n * WINDOW),
    Layer(key="linear", name="linear attention", pairs=lambda b, n: 0, is_quick=False),
    Layer(
        key="lambda-printed",
        name="lambda layer, an embedding formed for every pair, as printed",
        pairs=lambda b, n: KEY_DEPTH * n * n,
        is_quick=False,
    ),
    Layer(key="lambda", name="lambda layer", pairs=lambda b, n: KEY_DEPTH * n * n),
    Layer(key="lambda-convolution", name="lambda convolution 7 × 7", pairs=lambda b, n: KEY_DEPTH * n * WINDOW),
    Layer(key="convolution", name="convolution 3 × 3", pairs=lambda b, n: 0),
)


@dataclass(frozen=True)
class Memory:
    """Counts Table 4's column and measures peaks."""

    name: str = "memory"
    title: str = "Memory: attention maps grow with the batch, position tables do not"

    def pieces(self, options: StudyOptions) -> Sequence[Piece]:
        """A layer at a size and a batch each, in a process of its own."""
        limit = LIMITS[options.device]
        return [
            Piece(
                key=key_of(layer, side, batch, limit),
                seconds=guess(side, batch),
                work=partial(measure, layer.key, side, batch, options.device, limit),
                beside=options.device == "cpu",
            )
            for side, batch in sorted(
                {*((side, 1) for side in _sides(options)), *((STUDY_SIDE, b) for b in _batches(options))}
            )
            for layer in _layers(options)
        ]

    def shown(self, options: StudyOptions, answers: Mapping[str, Answer]) -> Shown:
        """Table 4's column; peaks at growing maps and at growing batches; a figure of both."""
        tables = [formulas(), _maps_table(options, answers), _batch_table(options, answers)]
        summary = list(_summary(options, answers))
        return Shown(title=self.title, summary=summary, tables=tables, figures=[_figure(options, answers)])


def key_of(layer: Layer, side: int, batch: int, limit: int) -> str:
    """Names the piece."""
    return f"{layer.key}-side{side}-b{batch}-within{limit // 2**30}g"


def guess(side: int, batch: int) -> float:
    """Seconds that a piece takes: mostly the start of its process."""
    return 4.0 + 3e-5 * side**2 * batch


def measure(layer: str, side: int, batch: int, device: str, limit: int) -> Answer:
    """The peak bytes of a forward and backward pass above what was there before; or why there are none."""
    problem = f"{mixers.__name__}:{mixers.training_of.__name__}"
    peak = fresh_peak(problem, limit=limit, device=device, layer=layer, side=side, batch=batch)
    return {"peak": peak}


def _maps_table(options: StudyOptions, answers: Mapping[str, Answer]) -> Table:
    sides = _sides(options)
    return _peaks(
        options,
        answers,
        {f"{side} × {side}": (side, 1) for side in sides},
        name="memory-maps",
        title="Growing maps, one image: peak memory, forward and backward, of one layer of 64 channels",
    )


def _batch_table(options: StudyOptions, answers: Mapping[str, Answer]) -> Table:
    return _peaks(
        options,
        answers,
        {f"b = {batch}": (STUDY_SIDE, batch) for batch in _batches(options)},
        name="memory-batch",
        title="Growing batches of b images on 56 × 56 positions: peak memory, forward and backward, of the same layers",
    )


def _peaks(
    options: StudyOptions, answers: Mapping[str, Answer], cells: Mapping[str, tuple[int, int]], *, name: str, title: str
) -> Table:
    """Peaks of every layer at each (side, batch) of `cells`; beside them what the formulas keep at both ends."""
    ends = [list(cells)[place] for place in (0, -1)]
    kept = [Column(name=f"for pairs, {end}", unit="MiB", origin="counted", digits=1) for end in ends]
    peaks = [Column(name=text, unit="MiB", origin="measured", digits=0) for text in cells]
    rows = []
    for layer in _layers(options):
        formula = [layer.pairs(batch, side**2) * BYTES / 2**20 or 0 for side, batch in (cells[end] for end in ends)]
        rows.append((layer.name, *formula, *(_peak(options, answers, layer, *cell) for cell in cells.values())))
    return Table(
        name=name,
        title=title,
        columns=(Column(name="layer", origin="label"), *kept, *peaks),
        rows=tuple(rows),
        notes=(
            f"Peak of a fresh process above what it held before the pass. It may take {_gibibytes(options)} GiB: a "
            "layer that wants more is out of memory. For pairs: what the paper's formulas keep for pairs of positions, "
            "in the forward pass alone. Lambda layers here do with less: no order of contraction but the printed one "
            "lays out an embedding for each pair.",
        ),
    )


def _peak(options: StudyOptions, answers: Mapping[str, Answer], layer: Layer, side: int, batch: int) -> Cell:
    """MiB, or why there are none."""
    peak = answers[key_of(layer, side, batch, LIMITS[options.device])]["peak"]
    return peak if isinstance(peak, str) else peak / 2**20


_HOLLOW: dict[str, Any] = {"linestyle": "none", "markerfacecolor": "white", "markersize": 9, "markeredgewidth": 1.8}
"""The mark of a layer where it is out of memory."""


def _figure(options: StudyOptions, answers: Mapping[str, Answer]) -> Figure:
    limit = LIMITS[options.device] / 2**20
    with drawing(2, height=4.2, sharey=True) as (figure, panels):
        sweeps = (
            ("one image, growing maps", "side of the map", [(side, 1) for side in _sides(options)], 0),
            ("56 × 56 positions, growing batches", "images b", [(STUDY_SIDE, b) for b in _batches(options)], 1),
        )
        for axes, (title, label, cells, place) in zip(panels, sweeps, strict=True):
            for index, layer in enumerate(_layers(options)):
                peaks = [(cell[place], _peak(options, answers, layer, *cell)) for cell in cells]
                points = [(x, max(peak, 0.1)) for x, peak in peaks if not isinstance(peak, str) and peak is not None]
                axes.plot(*(zip(*points, strict=True) if points else ((), ())), label=layer.name, **series(index))
                first_out = next((x for x, peak in peaks if peak == OUT_OF_MEMORY), None)
                if first_out is not None:
                    end = (first_out, limit * 1.3**index)  # one above the other, where several end at once
                    colour = series(index)["color"]
                    axes.plot(*zip(*points[-1:], end, strict=True), color=colour, linewidth=0.8, linestyle=":")
                    axes.plot(*end, **series(index) | _HOLLOW)
            axes.axhline(limit, color="#595959", linewidth=1)
            axes.set(title=title, xlabel=label, xscale="log")
            named_ticks(axes, [cell[place] for cell in cells])
            plain_log(axes)
        panels[0].set_ylabel("peak memory, MiB")
        panels[0].annotate("limit (hollow: no memory)", (0.02, limit), xycoords=("axes fraction", "data"), va="bottom")
        legend_below(figure, panels[0], columns=2)
        return Figure(
            name="memory",
            title="Peak memory of one layer, forward and backward",
            png=as_png(figure),
            caption=(
                "Left: one image, larger and larger maps. Right: more and more images of 56 × 56 positions. Both axes "
                "are logarithmic. Hollow marks, at the limit and above: out of memory from there on."
            ),
        )


def _summary(options: StudyOptions, answers: Mapping[str, Answer]) -> Iterator[str]:
    yield (
        "How much memory does a layer take to relate every position of a map to every other one? Self-attention forms "
        "a weight for each pair of positions, for each image and each head. A lambda layer needs an embedding for each "
        "pair, but the same ones for all images."
    )
    formulas_say = [
        f"{as_printed(table_4_bytes(row.key) / 1e9)}\N{NO-BREAK SPACE}GB ({row.layer}; printed {row.memory:g})"
        for row in ROUNDED
    ]
    yield (
        "The memory column of the paper's Table 4 follows from these formulas, rounded: counted are "
        f"{', '.join(formulas_say)}."
    )
    yield _measured_says(options, answers)


def _measured_says(options: StudyOptions, answers: Mapping[str, Answer]) -> str:
    """Which layers run out of memory, and what one that does not takes beside a convolution."""
    outs = [(layer.name, _first_out(options, answers, layer)) for layer in _layers(options)]
    told = ", ".join(f"{name} from {batch} images on" for name, batch in outs if batch is not None)
    most = max(_batches(options))
    taken = [
        f"{layer.name} {peak / 2**10:.1f}\N{NO-BREAK SPACE}GiB"
        for layer in LAYERS
        if layer.key in ("lambda", "lambda-convolution", "convolution")
        for peak in (_peak(options, answers, layer, STUDY_SIDE, most),)
        if isinstance(peak, float)
    ]
    return (
        f"Measured here on {STUDY_SIDE} × {STUDY_SIDE} positions, with {_gibibytes(options)}\N{NO-BREAK SPACE}GiB to "
        f"be had, {f'these are out of memory: {told}' if told else 'nothing is out of memory'}. {most} images take: "
        f"{', '.join(taken) or 'more than there is'}. What grows there is what grows in any layer, inputs and outputs."
    )


def _first_out(options: StudyOptions, answers: Mapping[str, Answer], layer: Layer) -> int | None:
    """The first batch that a layer has no memory for; None where it has for all."""
    batches = _batches(options)
    return next((b for b in batches if _peak(options, answers, layer, STUDY_SIDE, b) == OUT_OF_MEMORY), None)


def _layers(options: StudyOptions) -> list[Layer]:
    return [layer for layer in LAYERS if layer.is_quick or not options.quick]


def _sides(options: StudyOptions) -> tuple[int, ...]:
    return QUICK_SIDES if options.quick else SIDES


def _batches(options: StudyOptions) -> tuple[int, ...]:
    return QUICK_BATCHES if options.quick else BATCHES


def _gibibytes(options: StudyOptions) -> int:
    return LIMITS[options.device] // 2**30
