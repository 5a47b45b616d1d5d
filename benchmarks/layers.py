"""Ours against the public lambda layers and the rivals, layer by layer.

    python -m benchmarks.layers [--quick] [CASE…]
    python -m benchmarks.layers --device cuda [--quick] [--modes eager,orders,compiled] [--minutes 5] [CASE…]

Prints and writes forward, forward + backward and peak memory; the share of this machine's matrix-product rate that
ours reaches counts the multiply-adds of the orders it took, projections and content included.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from benchmarks.cases import CASES, Case, multiply_adds
from benchmarks.harness import add_gpu_options, environment, require_green, write_report
from benchmarks.peers import CONTENDERS, Contender, Unable
from lambdanets.study.drawing import series
from lambdanets.study.measuring import (
    forward_call,
    gemm_rate,
    in_fresh_process,
    interleaved,
    peak_bytes,
    training_call,
)

Row = dict[str, dict[str, float]]
"""Contender → {"forward": s, "training": s, "peak": MiB}."""
BESIDE_RIVALS = "ours beside rivals"
"""Ours once more, measured in turn with the rivals."""


def main(arguments: Iterable[str] = sys.argv[1:]) -> None:
    """Measure, print, write the report and its picture."""
    options = _options(list(arguments))
    if options.device != "cpu":
        from benchmarks.gpu_layers import run_layers

        run_layers(options)
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if options.peak:
        case, contender = _find(*options.peak)
        layer, x = contender.build(case), torch.randn(case.b, case.d, *case.size)
        print(peak_bytes(training_call(layer, x)) / 2**20)
        return
    if not options.quick:
        require_green("tests/ops", "tests/layers")
    cases = [c for c in CASES if not options.cases or any(part in c.name for part in options.cases)]
    rate = gemm_rate()
    rows: dict[str, Row] = {}
    for case in cases:
        rows[case.name] = measure(case, quick=options.quick)
        print(_line(case, rows[case.name], rate), flush=True)
    text = report(cases, rows, rate)
    print(text)
    if not options.quick:
        path = write_report("layers", text)
        draw(rows, str(path.with_suffix(".png")))
        print(f"wrote {path}")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help="parts of case names; all if none")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, no tests first; on a CPU no report")
    parser.add_argument("--peak", nargs=2, metavar=("CASE", "CONTENDER"), help="print one peak in MiB and stop")
    gpu = parser.add_argument_group("with --device cuda")
    gpu.add_argument("--modes", default="", help="some of eager,orders,compiled")
    gpu.add_argument("--contenders", default="", help="parts of names, joined by commas; ours is always there")
    add_gpu_options(parser, gpu)
    return parser.parse_args(arguments, argparse.Namespace(arguments=arguments))


def measure(case: Case, quick: bool) -> Row:
    """Times of every contender that can run the case, interleaved, and peaks from fresh processes."""
    x = torch.randn(case.b, case.d, *case.size)
    layers: dict[str, nn.Module] = {}
    for contender in CONTENDERS:
        try:
            layers[contender.name] = built(contender, case)
        except (Unable, ImportError) as reason:
            print(f"  {case.name}: {contender.name}: {reason}", file=sys.stderr)
    seconds, row = 0.5 if quick else 1.5, {}
    # Rivals apart: attention maps of a gigabyte leave nobody's caches and memory as they were.
    rivals = {contender.name for contender in CONTENDERS[1:] if not contender.is_peer}
    # Rivals are less far away than peers, and beside neighbours a call scatters by a tenth: more rounds of those.
    peers, beside = layers.keys() - rivals, layers.keys() & {"ours", *rivals}
    for ours, group, rounds in (("ours", peers, 5), (BESIDE_RIVALS, beside, 5 if quick else 15)):
        forward = interleaved({name: forward_call(layers[name], x) for name in sorted(group)}, seconds=seconds)
        training_calls = {name: training_call(layers[name], x) for name in sorted(group)}
        training = interleaved(training_calls, seconds=seconds, rounds=rounds)
        for name in group:
            row[ours if name == "ours" else name] = {"forward": forward[name], "training": training[name]}
    for name in layers:
        peak = in_fresh_process("benchmarks.layers", "--peak", case.name, name)
        row[name]["peak"] = float(peak) if peak else math.nan
    return row


def built(contender: Contender, case: Case) -> nn.Module:
    """The contender's layer; raises Unable, with the reason, where a CPU cannot or should not run it."""
    reason = contender.too_large(case)
    if reason is not None:
        raise Unable(reason)
    return contender.build(case)


def fastest_peer(row: Row, what: str) -> float:
    """The lowest value of any peer that has one, NaN where none can run."""
    peers = {c.name for c in CONTENDERS if c.is_peer}
    values = (values[what] for name, values in row.items() if name in peers)
    return min((value for value in values if not math.isnan(value)), default=math.nan)


def report(cases: list[Case], rows: dict[str, Row], rate: float) -> str:
    """The whole report in Markdown."""
    names = [c.name for c in CONTENDERS]
    parts = ["# Layers: ours against peers and rivals", "", environment()]
    parts += [f"- matrix-product rate, 1024³ fp32: {rate / 1e9:.1f} G multiply-adds/s", ""]
    for what, title in (
        ("forward", "Forward, ms"),
        ("training", "Forward + backward, ms"),
        ("peak", "Peak memory, MiB"),
    ):
        scale = 1 if what == "peak" else 1e3
        parts += [f"## {title}", "", f"| problem | {' | '.join(names)} | fastest peer / ours | of GEMM rate |"]
        parts += ["|---|" + "--:|" * (len(names) + 2)]
        ratios = []
        for case in cases:
            row = rows[case.name]
            cells = [f"{row[n][what] * scale:.1f}" if n in row else "–" for n in names]
            ratio = fastest_peer(row, what) / max(row["ours"][what], 1e-9)
            ratios += [ratio] if not math.isnan(ratio) else []
            share = (
                "" if what == "peak" else f"{multiply_adds(case, what == 'training') / row['ours'][what] / rate:.0%}"
            )
            parts += [f"| {case.name} | {' | '.join(cells)} | {ratio:.2f} | {share} |"]
        if ratios:
            mean = statistics.geometric_mean(ratios)
            parts += ["", f"Geometric mean {mean:.2f} ×, lowest {min(ratios):.2f} ×, {len(ratios)} problems.", ""]
    return "\n".join([*parts, *_rivals(cases, rows)])


def _rivals(cases: list[Case], rows: dict[str, Row]) -> list[str]:
    """The table of the rivals' forward + backward over ours, measured in turn with them."""
    names = [c.name for c in CONTENDERS[1:] if not c.is_peer]
    parts = ["## Rivals: forward + backward over ours", "", f"| problem | {' | '.join(names)} |"]
    parts += ["|---|" + "--:|" * len(names)]
    for case in cases:
        row = rows[case.name]
        ours = row[BESIDE_RIVALS]["training"]
        cells = [f"{row[name]['training'] / ours:.2f}" if name in row else "–" for name in names]
        parts += [f"| {case.name} | {' | '.join(cells)} |"]
    return [*parts, ""]


def draw(rows: dict[str, Row], path: str, contenders: Sequence[Contender] = CONTENDERS) -> None:
    """Forward + backward of every contender relative to ours, as a dot plot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.5 * len(rows) + 1.5), layout="constrained")
    axes = figure.subplots()
    for index, contender in enumerate(contenders[1:]):
        points = [
            (row[contender.name]["training"] / _beside(row, contender)["training"], y)
            for y, row in enumerate(rows.values())
            if contender.name in row
        ]
        if points:
            look = series(index) | {"linestyle": "none", "alpha": 0.8}
            axes.plot(*zip(*points, strict=True), label=contender.name, **look)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlabel("forward + backward time over ours (right of the line: slower than ours)")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def _beside(row: Row, contender: Contender) -> dict[str, float]:
    """Ours, as measured in turn with the contender."""
    return row["ours"] if contender.is_peer else row.get(BESIDE_RIVALS, row["ours"])


def _line(case: Case, row: Row, rate: float) -> str:
    ahead, both = (fastest_peer(row, what) / row["ours"][what] for what in ("forward", "training"))
    share = multiply_adds(case, True) / row["ours"]["training"] / rate
    return f"{case.name:<24} forward ×{ahead:5.2f}   forward + backward ×{both:5.2f}   {share:.0%} of the GEMM rate"


def _find(case_name: str, contender_name: str) -> tuple[Case, Contender]:
    case = next(c for c in CASES if c.name == case_name)
    return case, next(c for c in CONTENDERS if c.name == contender_name)


if __name__ == "__main__":
    main()
