"""The paper's speed–accuracy figure with the speeds of this machine: LambdaResNets, ResNets and EfficientNets.

Accuracies are the paper's; no network is trained on ImageNet here. LambdaResNets are this package's, the others timm's.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from lambdanets.study import paper
from lambdanets.study.drawing import as_png, drawing, legend_below, plain_log, series
from lambdanets.study.pareto_members import Kind, Member, members
from lambdanets.study.part import Answer, Piece, StudyOptions
from lambdanets.study.shown import Cell, Column, Figure, Shown, Table
from lambdanets.study.throughput import Network, Setting, reference_seconds, relative, timed

PASSES = ("training", "inference")
REFERENCE = Network(name="resnet50", side=224, library="timm")
"""What all others are timed beside."""
Curve = Sequence[tuple[float, float]]
"""(top-1, seconds an image), rising in both."""


def setting_of(options: StudyOptions) -> Setting:
    """Batches are halved where memory asks for it: an image's time hardly depends on them."""
    if options.quick:
        return Setting(batch=2, seconds=0.3, rounds=3, timeout=60, device=options.device, may_halve=True)
    batch = 4 if options.device == "cpu" else 128
    return Setting(batch=batch, seconds=3, rounds=5, timeout=900, device=options.device, may_halve=True)


@dataclass(frozen=True)
class Pareto:
    """The part `pareto`."""

    name: str = "pareto"
    title: str = "Speed against accuracy"

    def pieces(self, options: StudyOptions) -> Sequence[Piece]:
        """Each network beside the reference, a training step and inference."""
        setting = setting_of(options)
        return [
            Piece(
                key=_key(member, setting, what),
                seconds=_guess(member, setting, what),
                work=partial(timed, member.network, REFERENCE, training=what == "training", setting=setting),
            )
            for member in _chosen(options)
            for what in PASSES
        ]

    def shown(self, options: StudyOptions, answers: Mapping[str, Answer]) -> Shown:
        """What was timed beside what was printed, the speed-ups at equal accuracy, and the figure."""
        setting = setting_of(options)
        found = [
            _Found(member=member, answers={what: answers[_key(member, setting, what)] for what in PASSES})
            for member in _chosen(options)
        ]
        base = {what: reference_seconds(one.answers[what] for one in found) for what in PASSES}
        timings = [_Timed.of(one, base) for one in found]
        gains = speed_ups(timings)
        return Shown(
            title=self.title,
            summary=[_question(setting), _finding(gains), _ACCURACIES],
            tables=[_table(timings), _gain_table(gains)],
            figures=[_figure(timings)],
        )


@dataclass(frozen=True, kw_only=True)
class _Found:
    member: Member
    answers: Mapping[str, Answer]


@dataclass(frozen=True, kw_only=True)
class _Timed:
    """A member and its seconds an image, as if all had been timed in the same minute; a text where there are none."""

    member: Member
    seconds: Mapping[str, float | str]
    batches: Mapping[str, int]

    @classmethod
    def of(cls, found: _Found, base: Mapping[str, float | None]) -> "_Timed":
        seconds: dict[str, float | str] = {}
        for what, answer in found.answers.items():
            speed, one = relative(answer), base[what]
            seconds[what] = speed if isinstance(speed, str) or one is None else one / speed
        batches = {what: answer["batch"] for what, answer in found.answers.items()}
        return cls(member=found.member, seconds=seconds, batches=batches)


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How many times as fast as an EfficientNet LambdaResNets of its accuracy are."""

    rival: str
    top1: float
    printed: float | None
    """In the paper's words."""
    interpolated: float
    """From the paper's own points by the interpolation that is used here."""
    here: Mapping[str, float | None]
    """By pass, from the times of this machine."""


def speed_ups(timings: Sequence[_Timed]) -> list[Gain]:
    """At the accuracy of each EfficientNet that lies within the LambdaResNets that were timed."""
    gains = []
    for rival in timings:
        top1 = rival.member.top1
        if rival.member.kind != "EfficientNet" or top1 is None:
            continue
        theirs = {"paper": rival.member.seconds, **rival.seconds}
        curves = {what: [(y, x) for x, y in _points(timings, "LambdaResNet", what)] for what in theirs}
        ratios = {what: _ratio(top1, seconds, curves[what]) for what, seconds in theirs.items()}
        printed = dict(paper.SPEED_UPS).get(top1)
        if ratios["paper"] is not None:
            here = {what: ratios[what] for what in PASSES}
            label = rival.member.label
            gains.append(Gain(rival=label, top1=top1, printed=printed, interpolated=ratios["paper"], here=here))
    return gains


def _ratio(top1: float, seconds: float | str | None, curve: Curve) -> float | None:
    ours = seconds_at(top1, curve)
    return seconds / ours if isinstance(seconds, float) and ours is not None else None


def seconds_at(top1: float, curve: Curve) -> float | None:
    """Seconds an image at an accuracy, on the straight line between the two neighbours; None outside the curve."""
    place = bisect_left([one for one, _ in curve], top1)
    if place == len(curve) or (place == 0 and curve[0][0] != top1):
        return None
    if curve[place][0] == top1:
        return curve[place][1]
    (low, fast), (high, slow) = curve[place - 1 : place + 1]
    return fast + (slow - fast) * (top1 - low) / (high - low)


def _chosen(options: StudyOptions) -> list[Member]:
    return [member for member in members() if member.is_quick or not options.quick]


def _key(member: Member, setting: Setting, what: str) -> str:
    return f"{member.network.key}-b{setting.batch}-{what}"


def _guess(member: Member, setting: Setting, what: str) -> float:
    """Seconds: a process, and some passes of both networks, as slow to each other as the paper found them."""
    step = 0.45 + 900 * (member.seconds or 2e-4)
    return 5 + setting.rounds * setting.batch * step * (1.0 if what == "training" else 0.35)


_ACCURACIES = (
    "Every accuracy is printed in the paper; none was found out here, where there is no ImageNet. Those of "
    "LambdaResNets and EfficientNets are read off its speed–accuracy figure. Those of ResNet-50, without and with "
    "squeeze-excite, are of its 90-epoch study, a shorter training than the others', so they do not lie on the same "
    "axis; for ResNet-101 and 152 we have no printed accuracy, and show their speed alone."
)


def _question(setting: Setting) -> str:
    where = "one CPU thread" if setting.device == "cpu" else setting.device
    return (
        "Which network is fastest for an accuracy? The paper's answer is a figure: LambdaResNets reach EfficientNets' "
        "accuracy at a fraction of the time, on 8 TPUv3 cores. Here the networks are timed at the paper's image sizes "
        f"on this machine, a training step and inference, fp32, {where}, up to {setting.batch} images at once, each in "
        "turn with a ResNet-50."
    )


def _finding(gains: Sequence[Gain]) -> str:
    told = [
        f"{gain.rival} ({gain.top1} %): {_times(gain.interpolated)} by the paper's points, "
        + ", ".join(f"{_times(gain.here[what])} by {what} here" for what in PASSES)
        for gain in gains
    ]
    if not told:
        return "No EfficientNet of those timed here lies within the accuracies of the LambdaResNets timed here."
    return "How many times as fast LambdaResNets are at equal accuracy: " + "; ".join(told) + "."


def _times(ratio: float | None) -> str:
    return "not measured" if ratio is None else f"{ratio:.1f} ×"


def _table(timings: Sequence[_Timed]) -> Table:
    return Table(
        name="pareto",
        title="Networks by accuracy and speed",
        columns=(
            Column(name="network @ pixels", origin="label"),
            Column(name="top-1", origin="paper", unit="%", digits=1),
            Column(name="training", origin="paper", unit="images/s", digits=0),
            Column(name="training", origin="measured", unit="images/s"),
            Column(name="inference", origin="measured", unit="images/s"),
            Column(name="images at once, training", origin="measured"),
            Column(name="images at once, inference", origin="measured"),
        ),
        rows=tuple(_row(one) for one in timings),
        notes=(
            "Printed speeds: 1024 images by the seconds of a step on 8 TPUv3 cores, read off the figure to ± 0.005 s.",
            "Measured speeds are those over the ResNet-50 beside each network, times the median speed of that.",
            "Where one network has fewer images at once than the others, more did not fit into memory.",
        ),
    )


def _row(one: _Timed) -> tuple[Cell, ...]:
    member = one.member
    speeds = [seconds if isinstance(seconds, str) else 1 / seconds for seconds in one.seconds.values()]
    printed = None if member.seconds is None else 1 / member.seconds
    return (member.label, member.top1, printed, *speeds, *one.batches.values())


def _gain_table(gains: Sequence[Gain]) -> Table:
    return Table(
        name="pareto-speed-up",
        title="LambdaResNets at the accuracy of an EfficientNet: how many times as fast",
        columns=(
            Column(name="EfficientNet @ pixels", origin="label"),
            Column(name="top-1", origin="paper", unit="%", digits=1),
            Column(name="training, printed", origin="paper", unit="×", digits=1),
            Column(name="training, from the figure's points", origin="counted", unit="×"),
            Column(name="training", origin="measured", unit="×"),
            Column(name="inference", origin="measured", unit="×"),
        ),
        rows=tuple(
            (gain.rival, gain.top1, gain.printed, gain.interpolated, *(gain.here[what] for what in PASSES))
            for gain in gains
        ),
        notes=(
            "A LambdaResNet's time at an accuracy lies on the straight line between its two neighbours in accuracy; "
            "the same line through the paper's points gives its printed speed-ups to what can be read off a figure.",
        ),
    )


_LINES: dict[Kind, str] = {"LambdaResNet": "-", "EfficientNet": "--", "ResNet": "none", "ResNet + SE": "none"}


def _figure(timings: Sequence[_Timed]) -> Figure:
    titles = {"paper": "paper: training", "training": "here: training step", "inference": "here: inference"}
    with drawing(3, 1, height=3.4, sharey=True) as (figure, panels):
        for axes, (what, title) in zip(panels, titles.items(), strict=True):
            for index, (kind, line) in enumerate(_LINES.items()):
                points = _points(timings, kind, what)
                look = {**series(index), "linestyle": line}
                axes.plot([1e3 * x for x, _ in points], [y for _, y in points], label=kind, **look)
            axes.set_xscale("log")
            axes.margins(x=0.25)  # room for two plain numbers at least
            plain_log(axes, along="x")
            axes.set_title(title)
            axes.set_xlabel("milliseconds an image")
        panels[0].set_ylabel("top-1 in the paper, %")
        legend_below(figure, panels[0], columns=4)
        png = as_png(figure)
    return Figure(
        name="pareto",
        title="Speed against accuracy",
        png=png,
        caption="Further to the left is faster, further up more accurate; the accuracies of all three panels are the "
        "paper's. Circles: LambdaResNets; squares: EfficientNets; diamonds and triangles: ResNet-50 without and with "
        "squeeze-excite, trained for 90 epochs where the others were for 350.",
    )


def _points(timings: Sequence[_Timed], kind: Kind, what: str) -> list[tuple[float, float]]:
    """Seconds an image and accuracy of the networks of a kind that have both."""
    points = []
    for one in timings:
        seconds = one.member.seconds if what == "paper" else one.seconds[what]
        if one.member.kind == kind and one.member.top1 is not None and isinstance(seconds, float):
            points.append((seconds, one.member.top1))
    return sorted(points, key=lambda point: point[1])
