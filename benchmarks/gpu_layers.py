"""Ours against peers and rivals on a GPU: what `python -m benchmarks.layers --device cuda` runs.

A key of the journal is a case in a mode: "eager" and "compiled" time whole layers in bf16 autocast, "orders" the
position part alone by every order that is worth it. The first key is the device's own rates.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.cases import Case
from benchmarks.gpu_calls import Autocast, Guarded, forget_compiled, in_channels_last, release
from benchmarks.gpu_layers_report import report, rows_of
from benchmarks.gpu_plan import DTYPE, PASSES, RATES, TIMING, Plan, key_of, plan_of
from benchmarks.gpu_run import GPU_TESTS, Bench, run_bench
from benchmarks.harness import require_green, want_device
from benchmarks.journal import Answer, Journal
from benchmarks.peers import Contender, Unable
from lambdanets.ops.stopwatch import finish, stopwatch
from lambdanets.ops.tuning import measure_orders
from lambdanets.study.measuring import copy_rate, forward_call, gemm_rate, interleaved, peak_bytes, training_call


def run_layers(options: argparse.Namespace) -> None:
    """`python -m benchmarks.layers --device cuda`."""
    want_device(options.device)
    try:
        plan = plan_of(
            options.device, options.cases, _split(options.modes), _split(options.contenders), quick=options.quick
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    if not (options.quick or options.tested or options.worker):
        require_green(GPU_TESTS)
    run_bench(layers_bench(plan), options)


def layers_bench(plan: Plan) -> Bench:
    """The benchmark of layers."""
    return Bench(
        module="benchmarks.layers",
        what="layers",
        device=plan.device,
        keys=plan.keys,
        measure=lambda journal, key: measure(plan, journal, key),
        report=lambda head, answers: report(plan, head, answers),
        patience=240,
        draw=lambda answers, path: _draw(plan, answers, path),
    )


def _draw(plan: Plan, answers: Mapping[str, Answer], path: Path) -> None:
    """Forward + backward over ours, of the compiled layers where there are such, else of the eager ones."""
    from benchmarks.layers import draw

    for mode in ("compiled", "eager"):
        rows = rows_of(plan, answers, mode)
        if rows:
            draw(rows, str(path), plan.contenders)
            return


def _split(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def measure(plan: Plan, journal: Journal, key: str) -> Answer:
    """The answer to a key; each contender's step is written down before it is tried."""
    if key == RATES:
        products = gemm_rate(plan.matrix, device=plan.device, dtype=DTYPE)
        return {"products": products, "copy": copy_rate(plan.copied, device=plan.device)}
    case, mode = next((case, mode) for case in plan.cases for mode in plan.modes if key_of(case, mode) == key)
    if mode == "orders":
        return _orders(plan, case)
    answer = _whole_layers(plan, case, mode, journal, journal.deaths.get(key, {}))
    forget_compiled()  # FlexAttention is compiled in every mode
    release(plan.device)
    return answer


def _orders(plan: Plan, case: Case) -> Answer:
    """Seconds of the position part by every order: {order: {"forward": …, "backward": …}}."""
    took = measure_orders(case.problem(plan.device, DTYPE), plan.seconds)
    return {name: {"forward": one.forward, "backward": one.backward} for name, one in took.items()}


def _whole_layers(plan: Plan, case: Case, mode: str, journal: Journal, dead: Mapping[str, str]) -> Answer:
    """{contender: {"forward": s, "training": s, "peak": bytes}}; in place of what failed stands "failed": why."""
    if TIMING in dead:
        return {"failed": dead[TIMING]}
    key, x = key_of(case, mode), torch.randn(case.b, case.d, *case.size, device=plan.device, dtype=DTYPE)
    runs: dict[str, _Run] = {}
    for contender in plan.contenders:
        if contender.name in dead:
            runs[contender.name] = _Run(plan.device, f"the process {dead[contender.name]}")
            continue
        journal.begin(key, contender.name)
        start, runs[contender.name] = time.monotonic(), _Run(plan.device)
        runs[contender.name].start(contender, case, x, compiled=mode == "compiled")
        told = runs[contender.name].answer()
        how = told.get("unable") or told.get("failed") or f"{time.monotonic() - start:.1f} s to start"
        print(f"  {key}: {contender.name}: {how}", flush=True)
    journal.begin(key, TIMING)
    watch = stopwatch(plan.device)
    for what in PASSES:
        calls = {name: run.calls[what] for name, run in runs.items() if what in run.calls}
        for name, took in interleaved(calls, seconds=plan.seconds, watch=watch).items():
            runs[name].found[what] = took
    return {name: run.answer() for name, run in runs.items()}


class _Run:
    """One contender on one case: its calls by pass, and what was found of them."""

    def __init__(self, device: str, failed: str | None = None) -> None:
        self.device, self.unable = device, ""
        self.guards = {what: Guarded(device) for what in PASSES}
        self.guards["forward"].failed = failed
        self.calls: dict[str, Callable[[], object]] = {}
        self.found: dict[str, float] = {}

    def start(self, contender: Contender, case: Case, x: Tensor, *, compiled: bool) -> None:
        """Build the layer and run both passes once, which compiles them; note the peak of the second."""
        forward, training = (self.guards[what] for what in PASSES)
        try:
            with torch.device(self.device):
                layer = forward.run(lambda: contender.build(case))
        except (Unable, ImportError) as reason:
            self.unable = str(reason)
            return
        if layer is None:
            return
        if compiled:
            layer.compile(dynamic=False)
        given, ready = in_channels_last(x) if contender.channels_last else x, Autocast(layer, self.device)
        self.calls["forward"] = forward(forward_call(ready, given))
        self.calls["forward"]()
        forward.run(lambda: finish(self.device))  # what goes wrong goes wrong here, not in the next contender
        call = training.run(lambda: training_call(ready, given)) if forward.failed is None else None
        if call is not None:
            self.calls["training"] = training(call)
            peak = training.run(lambda: peak_bytes(call, self.device))
            self.found |= {} if peak is None else {"peak": peak}

    def answer(self) -> Answer:
        """What the journal holds of it."""
        if self.unable:
            return {"unable": self.unable}
        found = {what: value for what, value in self.found.items() if what == "peak" or not self.guards[what].failed}
        failed = [f"{what}: {guard.failed}" for what, guard in self.guards.items() if guard.failed]
        return found | ({"failed": failed[0]} if failed else {})
