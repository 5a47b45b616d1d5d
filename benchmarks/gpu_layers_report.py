"""The report on layers on a GPU, from the answers of a journal that may lack some."""

import math
import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.cases import Case, multiply_adds, position_products
from benchmarks.gpu_plan import DTYPE, PASSES, RATES, Plan, key_of
from benchmarks.journal import Answer
from lambdanets.ops.choice import ORDERS

TITLES = {"forward": "Forward, ms", "training": "Forward + backward, ms", "peak": "Peak memory of training, MiB"}
SCALES = {"forward": 1e3, "training": 1e3, "peak": 2**-20}
Answers = Mapping[str, Answer]


def report(plan: Plan, head: str, answers: Answers) -> str:
    """All of it in Markdown: what it says at once, each mode's tables, the orders, what failed."""
    parts = ["# Layers on a GPU: ours against peers and rivals", "", head, *_rates(answers), "", _HOW, ""]
    parts += _summary(plan, answers)
    for mode in plan.modes:
        if mode == "orders":
            parts += _orders(plan, answers)
        else:
            parts += [line for what in TITLES for line in _table(plan, answers, mode, what)]
    return "\n".join([*parts, *_failures(plan, answers)])


_HOW = (
    "bf16 by autocast, input in bf16, train mode with gradients of input and weights; ours and the convolution take it "
    "channels_last, the others as their authors lay it out. Speeds are relative to ours in the same mode. The share of "
    "the matrix-product rate counts projections, content and the products inside the windows."
)


def value(answers: Answers, case: Case, mode: str, name: str, what: str) -> float:
    """Seconds or bytes of a contender; NaN where there are none."""
    found = answers.get(key_of(case, mode), {}).get(name, {})
    return found.get(what, math.nan) if isinstance(found, dict) else math.nan


def fastest(plan: Plan, answers: Answers, case: Case, mode: str, what: str) -> float:
    """The lowest value of any peer."""
    values = (value(answers, case, mode, one.name, what) for one in plan.contenders if one.is_peer)
    return min((one for one in values if not math.isnan(one)), default=math.nan)


def ratios(plan: Plan, answers: Answers, mode: str, what: str) -> dict[str, float]:
    """By case: the fastest (or leanest) peer's value over ours, where there are both."""
    found = {
        case.name: fastest(plan, answers, case, mode, what) / value(answers, case, mode, "ours", what)
        for case in plan.cases
    }
    return {name: ratio for name, ratio in found.items() if not math.isnan(ratio)}


def _rates(answers: Answers) -> list[str]:
    rates = answers.get(RATES)
    if not rates or "failed" in rates:
        return []
    products, copied = rates["products"] / 1e12, rates["copy"] / 1e9
    return [f"- measured here: {products:.0f} T bf16 multiply-adds/s in a matrix product, {copied:.0f} GB/s in a copy"]


def _summary(plan: Plan, answers: Answers) -> list[str]:
    lines = []
    for mode in plan.modes:
        for what in () if mode == "orders" else TITLES:
            found = ratios(plan, answers, mode, what)
            if found:
                least = min(found, key=found.__getitem__)
                mean = statistics.geometric_mean(found.values())
                lines.append(
                    f"- {mode}, {TITLES[what].split(',')[0].lower()}: best peer / ours, geometric mean {mean:.2f} × "
                    f"over {len(found)} problems, lowest {found[least]:.2f} × ({least})"
                )
    return [*lines, ""]


def _table(plan: Plan, answers: Answers, mode: str, what: str) -> list[str]:
    there = [case for case in plan.cases if key_of(case, mode) in answers]
    if not there:
        return []
    names = [one.name for one in plan.contenders]
    extra = ["best peer / ours", *(["of matmul rate"] if what in PASSES else [])]
    lines = [f"## {TITLES[what]}, {mode}", "", f"| problem | {' | '.join([*names, *extra])} |"]
    lines += ["|---|" + "--:|" * (len(names) + len(extra))]
    for case in there:
        cells = [_cell(answers, case, mode, name, what) for name in names]
        ratio = ratios(plan, answers, mode, what).get(case.name)
        cells.append("–" if ratio is None else f"{ratio:.2f}")
        if what in PASSES:
            done = multiply_adds(case, what == "training", plan.device, DTYPE)
            cells.append(_share(done / value(answers, case, mode, "ours", what), answers))
        lines.append(f"| {case.name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(answers: Answers, case: Case, mode: str, name: str, what: str) -> str:
    found = value(answers, case, mode, name, what)
    if not math.isnan(found):
        return f"{found * SCALES[what]:.3g}" if what in PASSES else f"{found * SCALES[what]:.0f}"
    told = answers[key_of(case, mode)].get(name, {})
    failed = told.get("failed", "") if isinstance(told, dict) else "failed"
    return "OOM" if "out of memory" in failed else "failed" if failed else "–"


def _share(rate: float, answers: Answers) -> str:
    """Multiply-adds a second as a share of the measured rate."""
    rates = answers.get(RATES) or {}
    return "–" if math.isnan(rate) or "products" not in rates else f"{rate / rates['products']:.0%}"


def _orders(plan: Plan, answers: Answers) -> list[str]:
    """The position part alone: seconds by order, and what share of the rate the fused kernels reach."""
    there = [case for case in plan.cases if answers.get(key_of(case, "orders"))]
    if not there:
        return []
    lines = ["## The position part alone, ms forward + backward", ""]
    lines += [f"| problem | {' | '.join(order.NAME for order in ORDERS)} | triton, of matmul rate |"]
    lines += ["|---|" + "--:|" * (len(ORDERS) + 1)]
    for case in there:
        took = answers[key_of(case, "orders")]
        cells = [_passes(took.get(order.NAME)) for order in ORDERS]
        lines.append(f"| {case.name} | {' | '.join(cells)} | {_triton_shares(plan, case, took, answers)} |")
    return [*lines, ""]


def _passes(took: Any) -> str:
    return f"{1e3 * took['forward']:.3g} + {1e3 * took['backward']:.3g}" if took else "–"


def _triton_shares(plan: Plan, case: Case, took: Mapping[str, Any], answers: Answers) -> str:
    if "triton" not in took:
        return "–"
    order, problem = next(one for one in ORDERS if one.NAME == "triton"), case.problem(plan.device, DTYPE)
    seconds = took["triton"]
    shares = (
        _share(position_products(problem, order, side) / seconds[what], answers)
        for side, what in ((False, "forward"), (True, "backward"))
    )
    return " + ".join(shares)


def _failures(plan: Plan, answers: Answers) -> list[str]:
    """What ran out of memory is in the tables; this is what went wrong in another way."""
    lines = []
    for key, answer in answers.items():
        told = {name: one.get("failed") for name, one in answer.items() if isinstance(one, dict)}
        if "failed" in answer:
            lines.append(f"- {key}: {answer['failed']}")
        lines += [f"- {key}: {name}: {why}" for name, why in told.items() if why and "out of memory" not in why]
    return ["## Failures", "", *lines, ""] if lines else []


def rows_of(plan: Plan, answers: Answers, mode: str) -> dict[str, dict[str, dict[str, float]]]:
    """Case → contender → values, of those with a training time beside ours: what is drawn."""
    rows = {
        case.name: {
            one.name: {"training": value(answers, case, mode, one.name, "training")}
            for one in plan.contenders
            if not math.isnan(value(answers, case, mode, one.name, "training"))
        }
        for case in plan.cases
    }
    return {name: row for name, row in rows.items() if "ours" in row}
