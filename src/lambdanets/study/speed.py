"""Table 4 and Table 12: how fast the same ResNet-50 is with each layer, against the same network of convolutions.

The paper's images a second are those of its inference on 8 TPUv3 cores; what can be compared is each network's speed
over that of the network of convolutions, CCCC, there and here, and the order of the networks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lambdanets.study import paper
from lambdanets.study.drawing import as_png, drawing, legend_below, plain_log, series
from lambdanets.study.part import Answer, Piece, StudyOptions
from lambdanets.study.shown import Cell, Column, Figure, Shown, Table
from lambdanets.study.speed_rows import REFERENCE, Group, Row, rows
from lambdanets.study.throughput import Network, Setting, reference_seconds, relative, timed

PASSES = ("inference", "training")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large everything is."""

    side: int
    setting: Setting


def scale_of(options: StudyOptions) -> Scale:
    """224 pixels, as in the paper; small images with --quick."""
    if options.quick:
        return Scale(side=96, setting=Setting(batch=4, seconds=0.4, rounds=3, timeout=120, device=options.device))
    batch = 4 if options.device == "cpu" else 64
    return Scale(side=224, setting=Setting(batch=batch, seconds=4, rounds=5, timeout=600, device=options.device))


@dataclass(frozen=True)
class Speed:
    """The part `speed`."""

    name: str = "speed"
    title: str = "Speed of every layer in the same network"

    def pieces(self, options: StudyOptions) -> Sequence[Piece]:
        """Each network beside the reference, once by inference and once by training; a network in both tables once."""
        scale = scale_of(options)
        reference = Network(name=REFERENCE, side=scale.side)
        networks = {row.network(scale.side).key: row for row in rows() if row.is_quick or not options.quick}
        return [
            Piece(
                key=_key(row, scale, training=training),
                seconds=_guess(row, scale, training=training),
                work=partial(timed, row.network(scale.side), reference, training=training, setting=scale.setting),
            )
            for row in networks.values()
            for training in (False, True)
        ]

    def shown(self, options: StudyOptions, answers: Mapping[str, Answer]) -> Shown:
        """Two tables like the paper's, the agreement of their order with it, and a picture of both."""
        scale = scale_of(options)
        chosen = [row for row in rows() if row.is_quick or not options.quick]
        found = [_Found.of(row, scale, answers) for row in chosen]
        seconds = [reference_seconds([answers[key] for key in answers if key.endswith(name)]) for name in PASSES]
        tables = [_table(group, found, seconds) for group in ("attention", "stages")]
        return Shown(
            title=self.title,
            summary=[_question(scale), *(_agreement(group, found) for group in ("attention", "stages"))],
            tables=tables,
            figures=[_figure(found)],
        )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A row and its speeds over the reference's; a text where there is none."""

    row: Row
    speeds: tuple[float | str, float | str]
    """By inference and by training."""

    @classmethod
    def of(cls, row: Row, scale: Scale, answers: Mapping[str, Answer]) -> "_Found":
        inference, training = (relative(answers[_key(row, scale, training=one)]) for one in (False, True))
        return cls(row=row, speeds=(inference, training))

    @property
    def printed(self) -> float | None:
        """The paper's speed over the reference's."""
        return self.row.printed / _printed_reference() if isinstance(self.row.printed, float | int) else None

    @property
    def both(self) -> tuple[float, float] | None:
        """The paper's speed and ours by inference, where there are both."""
        ours = self.speeds[0]
        return None if self.printed is None or isinstance(ours, str) else (self.printed, ours)


def _printed_reference() -> float:
    return next(row.throughput for row in paper.TABLE_12 if row.model == REFERENCE)


def _key(row: Row, scale: Scale, *, training: bool) -> str:
    return f"{row.network(scale.side).key}-b{scale.setting.batch}-{PASSES[training]}"


def _guess(row: Row, scale: Scale, *, training: bool) -> float:
    """Seconds: a process, and a number of passes that cost more the slower the paper found the network."""
    printed = row.printed if isinstance(row.printed, float | int) else 400
    one = (scale.side / 224) ** 2 * scale.setting.batch * 0.08 * (3 if training else 1)
    return 5 + scale.setting.rounds * one * (1 + 0.4 * _printed_reference() / printed)


def _question(scale: Scale) -> str:
    setting = scale.setting
    where = "one CPU thread" if setting.device == "cpu" else setting.device
    return (
        "How much does each layer slow the same ResNet-50 down? Its 3 × 3 convolutions give way to lambda layers or to "
        "self-attention, and the whole network is timed against the one of convolutions (CCCC), in turn with it, in "
        f"the same process: {scale.side} × {scale.side} pixels, {setting.batch} images at once, fp32, "
        f"{where}. The paper timed inference on 8 TPUv3 cores; so what stands beside each other are speeds over CCCC's."
    )


def _table(group: Group, found: Sequence[_Found], seconds: Sequence[float | None]) -> Table:
    first: tuple[Cell, ...] = ("convolution (CCCC)", _printed_reference(), 1.0)
    for one in seconds:
        first += (None if one is None else 1 / one, 1.0)
    body: list[tuple[Cell, ...]] = [first]
    for one in found:
        if one.row.group == group:
            cells: tuple[Cell, ...] = (one.row.label, one.row.printed, one.printed)
            for speed, base in zip(one.speeds, seconds, strict=True):
                cells += (speed if isinstance(speed, str) or base is None else speed / base, speed)
            body.append(cells)
    return Table(
        name=f"speed-{group}",
        title=_TITLES[group],
        columns=(
            Column(name="layer" if group == "attention" else "stages c2 to c5", origin="label"),
            Column(name="inference", origin="paper", unit="images/s", digits=0),
            Column(name="inference over CCCC", origin="paper", digits=3),
            Column(name="inference", origin="measured", unit="images/s", digits=1),
            Column(name="inference over CCCC", origin="measured", digits=3),
            Column(name="training", origin="measured", unit="images/s", digits=1),
            Column(name="training over CCCC", origin="measured", digits=3),
        ),
        rows=tuple(body),
        notes=_NOTES[group],
    )


_TITLES: dict[Group, str] = {
    "attention": "Lambda layers against self-attention in ResNet-50 (the paper's Table 4)",
    "stages": "Stages with lambda layers (L) or convolutions (C) in ResNet-50 (the paper's Table 12)",
}
_NOTES: dict[Group, tuple[str, ...]] = {
    "attention": (
        "Images a second are those over CCCC times the median of CCCC's, which was timed beside each network.",
        "OOM: out of memory on the paper's machine, at batch 128 on 8 cores.",
        "Lambda layers take the order of contraction that is predicted to be fastest here; the paper's own is 'dense' "
        "for the lambda layer and 'convolution' for the lambda convolution.",
        "Layers without printed speed stand here for comparison.",
    ),
    "stages": ("L: lambda layers of scope 23 in every block of the stage.",),
}


def _agreement(group: Group, found: Sequence[_Found]) -> str:
    """What can be said of the order, and of where the two differ most."""
    named = [(one.row.label, one.both) for one in found if one.row.group == group]
    pairs = [(label, both) for label, both in named if both is not None]
    table = "Table 4" if group == "attention" else "Table 12"
    if len(pairs) < 3:
        return f"{table}: too few networks were timed here to compare their order with the paper's."
    rho, tau = rank_agreement([both for _, both in pairs] + [(1.0, 1.0)])
    label, (there, here) = max(pairs, key=lambda pair: abs(math.log(pair[1][0] / pair[1][1])))
    return (
        f"{table}, inference, {len(pairs) + 1} networks with the one of convolutions: in order of speed, ours and the "
        f"paper's agree with Spearman's ρ = {rho:.2f} and Kendall's τ = {tau:.2f} (1: the same order, 0: unrelated, "
        f"−1: reversed). That is the order alone. The sizes differ, most for {label}: {there:.2f} of CCCC's speed in "
        f"the paper, {here:.2f} here."
    )


def rank_agreement(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Spearman's ρ and Kendall's τ-b of two orders, given as pairs of numbers; ties count as such."""
    from scipy.stats import kendalltau, spearmanr

    left, right = zip(*pairs, strict=True)
    rho, _ = spearmanr(left, right)
    tau, _ = kendalltau(left, right)
    return float(rho), float(tau)  # type: ignore[arg-type]


_LOOKS: tuple[dict[str, Any], ...] = (
    series(0) | {"linestyle": "none", "fillstyle": "none", "markersize": 9, "markeredgewidth": 1.8, "zorder": 3},
    series(1) | {"linestyle": "none"},
    series(3) | {"linestyle": "none"},
)
"""Of the paper's inference, ours, our training: as deep in grey as can be told apart, and none hides another's rim."""


def _figure(found: Sequence[_Found]) -> Figure:
    groups: tuple[Group, ...] = ("attention", "stages")
    height = 1.6 + 0.26 * len(found)
    ratios = [max(1, sum(one.row.group == group for one in found)) for group in groups]
    with drawing(1, 2, height=height, sharex=True, height_ratios=ratios) as (figure, panels):
        for axes, group in zip(panels, groups, strict=True):
            mine = [one for one in found if one.row.group == group]
            for index, name in enumerate(("paper, inference", "here, inference", "here, training")):
                places = [(_speed(one, index), place) for place, one in enumerate(mine)]
                points = [(speed, place) for speed, place in places if isinstance(speed, float)]
                axes.plot([x for x, _ in points], [y for _, y in points], label=name, **_LOOKS[index])
            axes.axvline(1, color="black", linewidth=1)
            axes.set_yticks(range(len(mine)), [one.row.label for one in mine])
            axes.invert_yaxis()
            axes.set_title("Table 4" if group == "attention" else "Table 12")
            plain_log(axes, along="x")
        panels[-1].set_xlabel("speed over CCCC's (the line), logarithmic")
        legend_below(figure, panels[0])
        png = as_png(figure)
    return Figure(
        name="speed",
        title="Speed over the network of convolutions",
        png=png,
        caption="Each row is a network; further to the right is faster, the line is the ResNet-50 of convolutions. "
        "Rings: the paper's inference; squares: inference here; triangles: a training step here. A missing mark: not "
        "printed, out of memory, or too slow.",
    )


def _speed(found: _Found, index: int) -> float | str | None:
    return found.printed if index == 0 else found.speeds[index - 1]
