"""The part "scope": what the position part costs against how far it sees, by order of contraction.

The paper's order does n·r²·k·u·v multiply-adds to form the lambdas of n positions, each from a window of r × r (the
lambda convolution), or n·m·k·u·v for all pairs where the scope is global. Other orders contract the same sum in other
sequences, to the same result at other prices.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from lambdanets.ops import Problem
from lambdanets.ops.tuning import SLOWER
from lambdanets.study.drawing import as_png, drawing, legend_below, named_ticks, plain_log, series
from lambdanets.study.order_times import ALL_ORDERS, time_orders
from lambdanets.study.part import Answer, Piece, StudyOptions
from lambdanets.study.shown import Column, Figure, Shown, Table


@dataclass(frozen=True, kw_only=True)
class Map:
    """A map on which scopes are tried: one stage of a ResNet-50 at 224 pixels."""

    stage: str
    side: int
    value: int
    """v, value depth."""
    batch: int
    scopes: tuple[int, ...]
    """The last one sees the whole map from everywhere: 2·side − 1."""

    def problem(self, r: int, device: str) -> Problem:
        """The position part of a layer of this scope, k = 16, h = 4, u = 1."""
        size = (self.side, self.side)
        return Problem(
            b=self.batch, v=self.value, query_size=size, context_size=size, scope=(r, r), content=False, device=device
        )

    def name_of(self, r: int) -> str:
        """A scope in words."""
        return f"{r} (global)" if r == 2 * self.side - 1 else str(r)


QUICK = (Map(stage="c3", side=28, value=32, batch=4, scopes=(3, 7, 15, 23, 31, 55)),)
STANDARD = (
    Map(stage="c3", side=28, value=32, batch=4, scopes=(3, 5, 7, 11, 15, 23, 31, 55)),
    Map(stage="c2", side=56, value=16, batch=4, scopes=(3, 5, 7, 11, 15, 23, 31, 63, 111)),
)


@dataclass(frozen=True)
class Scope:
    """Times and counts every order at every scope."""

    name: str = "scope"
    title: str = "Scope: what it costs to see further"

    def pieces(self, options: StudyOptions) -> Sequence[Piece]:
        """A scope of a map each, all orders in turn."""
        seconds = 0.3 if options.quick else 1.0
        return [
            Piece(
                key=key_of(stage, r, options),
                seconds=10 * seconds,
                work=partial(time_orders, stage.problem(r, options.device), seconds),
            )
            for stage in _maps(options)
            for r in stage.scopes
        ]

    def shown(self, options: StudyOptions, answers: Mapping[str, Answer]) -> Shown:
        """The best order at each scope, all orders, and a figure a map."""
        maps = _maps(options)
        return Shown(
            title=self.title,
            summary=list(_summary(maps[0], options, answers)),
            tables=[_best_table(maps, options, answers), _orders_table(maps, options, answers)],
            figures=[_figure(stage, options, answers) for stage in maps],
        )


def key_of(stage: Map, r: int, options: StudyOptions) -> str:
    """Names the piece."""
    return f"side{stage.side}-r{r}-v{stage.value}-b{stage.batch}-{options.device}"


def _best_table(maps: Sequence[Map], options: StudyOptions, answers: Mapping[str, Answer]) -> Table:
    rows = [
        (
            f"{stage.side} × {stage.side}",
            stage.name_of(r),
            3 * in_the_papers_order(stage, r) / 1e9,
            found["chosen"][0] if len(set(found["chosen"])) == 1 else " + ".join(found["chosen"]),
            _both(found["orders"][best], "multiply_adds") / 1e9,
            best,
            1e3 * found["orders"][best]["forward"]["seconds"],
            1e3 * _both(found["orders"][best], "seconds"),
            _most_extra(found["orders"][best]) / 2**20,
        )
        for stage in maps
        for r in stage.scopes
        for found in (answers[key_of(stage, r, options)],)
        for best in (min(found["orders"], key=lambda name: _both(found["orders"][name], "seconds")),)
    ]
    return Table(
        name="scope",
        title="The fastest order at each scope, forward and backward together",
        columns=(
            Column(name="map", origin="label"),
            Column(name="scope r", origin="label"),
            Column(name="multiply-adds of the paper's order, both passes", unit="G", origin="counted", digits=3),
            Column(name="auto takes", origin="counted"),
            Column(name="multiply-adds of the fastest, both passes", unit="G", origin="counted", digits=3),
            Column(name="fastest order", origin="measured"),
            Column(name="forward", unit="ms", origin="measured"),
            Column(name="forward + backward", unit="ms", origin="measured"),
            Column(name="memory beyond its result", unit="MiB", origin="measured", digits=1),
        ),
        rows=tuple(rows),
        notes=(
            f"The position part alone, k = 16, h = 4, u = 1, v = {maps[0].value} on the first map, batches of "
            f"{maps[0].batch}; one thread, medians of interleaved runs. Auto chooses by "
            "predicted cost, for each pass, without a run. The paper's order: n·min(r², n)·k·v forward, as a "
            "convolution or, where the window is larger than the map, over all pairs; twice that backward.",
        ),
    )


def _orders_table(maps: Sequence[Map], options: StudyOptions, answers: Mapping[str, Answer]) -> Table:
    rows = [
        (
            f"{stage.side} × {stage.side}",
            stage.name_of(r),
            name,
            found["forward"]["multiply_adds"] / 1e9,
            _both(found, "multiply_adds") / 1e9,
            1e3 * found["forward"]["seconds"],
            1e3 * _both(found, "seconds"),
            _most_extra(found) / 2**20,
        )
        for stage in maps
        for r in stage.scopes
        for name, found in answers[key_of(stage, r, options)]["orders"].items()
    ]
    return Table(
        name="scope-orders",
        title="Every order that is not hopeless at a scope",
        columns=(
            Column(name="map", origin="label"),
            Column(name="scope r", origin="label"),
            Column(name="order", origin="label"),
            Column(name="multiply-adds, forward", unit="G", origin="counted", digits=3),
            Column(name="multiply-adds, both passes", unit="G", origin="counted", digits=3),
            Column(name="forward", unit="ms", origin="measured"),
            Column(name="forward + backward", unit="ms", origin="measured"),
            Column(name="memory beyond its result", unit="MiB", origin="measured", digits=1),
        ),
        rows=tuple(rows),
        notes=(f"Orders that are predicted to take {SLOWER} times as long as the best are left out.",),
    )


def _figure(stage: Map, options: StudyOptions, answers: Mapping[str, Answer]) -> Figure:
    found = {r: answers[key_of(stage, r, options)]["orders"] for r in stage.scopes}
    panels: tuple[tuple[str, str, Callable[[Mapping[str, Answer]], float]], ...] = (
        ("forward", "ms", lambda order: 1e3 * order["forward"]["seconds"]),
        ("forward + backward", "ms", lambda order: 1e3 * _both(order, "seconds")),
        ("multiply-adds, both passes", "10⁹", lambda order: _both(order, "multiply_adds") / 1e9),
        ("memory beyond the result", "MiB", lambda order: max(_most_extra(order) / 2**20, 0.01)),
    )
    with drawing(2, 2, height=5.8, sharex=True) as (figure, axes_of):
        for axes, (title, unit, number) in zip(axes_of, panels, strict=True):
            for index, order in enumerate(ALL_ORDERS):
                points = [(r, number(orders[order.NAME])) for r, orders in found.items() if order.NAME in orders]
                if points:
                    axes.plot(*zip(*points, strict=True), label=order.NAME, **series(index))
            axes.set(title=title, ylabel=unit, xscale="log")
            named_ticks(axes, stage.scopes)
            plain_log(axes)
        for axes in axes_of[2:]:
            axes.set_xlabel("scope r")
        legend_below(figure, axes_of[0], columns=4)
        return Figure(
            name=f"scope-{stage.side}",
            title=f"Cost against scope by order of contraction, {stage.side} × {stage.side} positions ({stage.stage})",
            png=as_png(figure),
            caption=(
                "Both axes are logarithmic. The last scope sees the whole map from every position. Lines end where an "
                "order is predicted to be far slower than the best."
            ),
        )


def _summary(stage: Map, options: StudyOptions, answers: Mapping[str, Answer]) -> Iterator[str]:
    yield (
        "What does it cost to see further? A lambda layer's scope r is the side of the window around each position "
        "that its position part takes in. In the order that the paper computes it, cost grows with the window's area, "
        "r², up to that of the map. The same sum can be contracted in other orders, to the same result; which one is "
        "cheapest depends on the scope."
    )
    least, most = stage.scopes[0], stage.scopes[-1]
    times = {
        r: min(_both(order, "seconds") for order in answers[key_of(stage, r, options)]["orders"].values())
        for r in (least, most)
    }
    area = (r_seen(stage, most) / least) ** 2
    yield (
        f"On {stage.side} × {stage.side} positions the largest window has {area:,.0f} times the area of the smallest; "
        f"forward and backward, each in its best order, take {times[most] / times[least]:.1f} times as long."
    )


def in_the_papers_order(stage: Map, r: int) -> int:
    """Multiply-adds with which the paper forms all lambdas of a batch, k = 16: from windows, or from all pairs."""
    positions = stage.side**2
    return stage.batch * positions * min(r_seen(stage, r) ** 2, positions) * 16 * stage.value


def r_seen(stage: Map, r: int) -> int:
    """The side of the window that the map has use for."""
    return min(r, 2 * stage.side - 1)


def _both(order: Answer, what: str) -> float:
    """The sum over forward and backward."""
    return order["forward"][what] + order["backward"][what]


def _most_extra(order: Answer) -> int:
    return max(order[way]["extra_bytes"] for way in ("forward", "backward"))


def _maps(options: StudyOptions) -> tuple[Map, ...]:
    return QUICK if options.quick else STANDARD
