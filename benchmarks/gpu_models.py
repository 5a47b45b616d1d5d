"""Networks on a GPU: `python -m benchmarks.models --device cuda [--quick] [--minutes 5] [KEY…]`.

LambdaResNet-152 beside itself with 3 × 3 convolutions; LambdaResNet-420 with the largest batch that fits; the family
beside EfficientNets of equal accuracy, which is the paper's and interpolated as the study's figure does.
"""

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import replace

import torch

from benchmarks.gpu_calls import Guarded, forget_compiled, release
from benchmarks.gpu_networks import PASSES, Timing, alone, beside_convolutions, chosen, largest_step
from benchmarks.gpu_run import GPU_TESTS, Bench, run_bench
from benchmarks.harness import require_green, want_device
from benchmarks.journal import Answer
from lambdanets.study import paper
from lambdanets.study.pareto import seconds_at
from lambdanets.study.pareto_members import Member, members

REPLACED, LARGEST = ("lambda_resnet152", 224), ("lambda_resnet420", 320)
"""Network and pixels of what stands beside convolutions, and of what gets the largest batch."""
LARGEST_BATCH = "largest batch"
WITHIN = 0.10
"""How much slower than with convolutions is still said to be within reach."""
Answers = Mapping[str, Answer]


def family() -> list[Member]:
    """LambdaResNets and EfficientNets; those that the printed speed-ups are about come first."""
    both = [member for member in members() if member.kind in ("LambdaResNet", "EfficientNet")]
    return sorted(both, key=lambda member: member.label not in printed_about(both))


def printed_about(there: list[Member]) -> set[str]:
    """The labels of the EfficientNets of printed speed-ups, and of the LambdaResNets next to them in accuracy."""
    ours = sorted((one.top1 or 0, one.label) for one in there if one.kind == "LambdaResNet")
    accuracies = [top1 for top1, _ in paper.SPEED_UPS]
    labels = {one.label for one in there if one.kind == "EfficientNet" and one.top1 in accuracies}
    for top1 in accuracies:
        equal = [label for accuracy, label in ours if accuracy == top1]
        below, above = [one for one in ours if one[0] < top1][-1:], [one for one in ours if one[0] > top1][:1]
        labels |= set(equal) or {label for _, label in (*below, *above)}
    return labels


def keys_of(*, quick: bool) -> list[str]:
    """What is measured: eager before compiled, the printed speed-ups before the rest of the family."""
    there = family()
    if quick:
        there = [member for member in there if member.label in printed_about(there)]
    replaced = [f"{' @ '.join(map(str, REPLACED))} beside 3 × 3 | {what}" for what in PASSES]
    return [
        *(f"{key}, eager" for key in replaced),
        *(f"{member.label} | {what}" for member in there[: len(printed_about(there))] for what in PASSES),
        *(f"{key}, compiled" for key in replaced),
        f"{' @ '.join(map(str, LARGEST))} | {LARGEST_BATCH}",
        *(f"{member.label} | {what}" for member in there[len(printed_about(there)) :] for what in PASSES),
    ]


def measure(key: str, timing: Timing) -> Answer:
    """The answer to a key; {"failed": why} where something went wrong that the device survives."""
    guard = Guarded(timing.device)
    name, what = key.split(" | ")
    answer = guard.run(lambda: _measure(name, what, timing))
    forget_compiled()
    release(timing.device)
    return {"failed": guard.failed} if answer is None else answer


def _measure(name: str, what: str, timing: Timing) -> Answer:
    torch.backends.cudnn.benchmark = what != LARGEST_BATCH  # as those do who want speed; batches that vary cannot
    if what == LARGEST_BATCH:
        return largest_step(*LARGEST, timing)
    if " beside " in name:
        direction, mode = what.split(", ")
        return beside_convolutions(*REPLACED, direction, timing, compiled=mode == "compiled")
    member = next(member for member in family() if member.label == name)
    return alone(member.network, what, timing)


def report(head: str, answers: Answers) -> str:
    """All of it in Markdown."""
    how = "bf16 by autocast, channels_last, cuDNN choosing its algorithms by trial; training is a step with SGD."
    parts = ["# Networks on a GPU", "", head, "", how, "", *_replaced(answers), *_largest(answers)]
    return "\n".join([*parts, *_speed_ups(answers), *_family(answers), *_failures(answers)])


def _replaced(answers: Answers) -> list[str]:
    lines = []
    for key, answer in answers.items():
        if " beside " in key and "failed" not in answer:
            ours, plain = answer["lambda"], answer["plain"]
            ratio = ours["seconds"] / plain["seconds"]
            told = "within 10 %" if ratio <= 1 + WITHIN else "not within 10 %"
            cells = [f"{1e3 * one['seconds']:.1f} | {one['peak'] / 2**20:.0f}" for one in (ours, plain)]
            lines.append(f"| {key} | {answer['batch']} | {' | '.join(cells)} | {ratio:.3f}, {told} |")
    head = "| | batch | ms | MiB | ms, 3 × 3 | MiB, 3 × 3 | time over that with 3 × 3 |"
    title = f"## {' @ '.join(map(str, REPLACED))} beside the same network with 3 × 3 convolutions"
    return [title, "", head, "|---|" + "--:|" * 6, *lines, ""] if lines else []


def _largest(answers: Answers) -> list[str]:
    found = [(key, answer) for key, answer in answers.items() if key.endswith(LARGEST_BATCH) and "failed" not in answer]
    return [
        f"{key}: a training step of {one['batch']} images takes {1e3 * one['seconds']:.0f} ms, "
        f"{one['batch'] / one['seconds']:.1f} images/s, at a peak of {one['peak'] / 2**30:.1f} GiB beside weights.\n"
        for key, one in found
    ]


def seconds_of(answers: Answers, member: Member, what: str) -> float:
    """Seconds an image; NaN where there are none."""
    return answers.get(f"{member.label} | {what}", {}).get("seconds", math.nan)


def speed_up(answers: Answers, rival: Member, what: str) -> float | None:
    """How many times as fast as a rival the family is at its accuracy, interpolated; None: not known."""
    points = [
        (one.top1, seconds_of(answers, one, what))
        for one in members()
        if one.kind == "LambdaResNet" and one.top1 is not None and not math.isnan(seconds_of(answers, one, what))
    ]
    theirs = seconds_of(answers, rival, what)
    ours = seconds_at(rival.top1, sorted(points)) if rival.top1 is not None else None
    return None if ours is None or math.isnan(theirs) else theirs / ours


def _speed_ups(answers: Answers) -> list[str]:
    lines = []
    for rival in members():
        gains = [speed_up(answers, rival, what) for what in PASSES]
        if rival.kind == "EfficientNet" and any(gain is not None for gain in gains):
            printed = dict(paper.SPEED_UPS).get(rival.top1 or 0)
            cells = ["–" if gain is None else f"{gain:.2f}" for gain in (printed, *gains)]
            lines.append(f"| {rival.label} | {rival.top1} | {' | '.join(cells)} |")
    head = "| EfficientNet @ pixels | top-1, the paper's | training, printed | training, here | inference, here |"
    title = "## LambdaResNets at the accuracy of an EfficientNet: how many times as fast"
    return [title, "", head, "|---|" + "--:|" * 4, *lines, ""] if lines else []


def _family(answers: Answers) -> list[str]:
    lines = []
    for member in members():
        found = [answers.get(f"{member.label} | {what}", {}) for what in PASSES]
        if any("seconds" in one for one in found):
            cells = [f"{1 / one['seconds']:.1f} | {one['batch']}" if "seconds" in one else "– | –" for one in found]
            lines.append(f"| {member.label} | {member.top1} | {' | '.join(cells)} |")
    head = "| network @ pixels | top-1, the paper's | training, images/s | batch | inference, images/s | batch |"
    return ["## Images a second, eager", "", head, "|---|" + "--:|" * 5, *lines, ""] if lines else []


def _failures(answers: Answers) -> list[str]:
    lines = [f"- {key}: {answer['failed']}" for key, answer in answers.items() if "failed" in answer]
    return ["## Failures", "", *lines, ""] if lines else []


def run_models(options: argparse.Namespace) -> None:
    """`python -m benchmarks.models --device cuda`."""
    want_device(options.device)
    timing = Timing(device=options.device)
    if options.quick:
        timing = replace(timing, seconds=0.7, rounds=3)
    try:
        keys = chosen(keys_of(quick=options.quick), options.names)
    except ValueError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    if not (options.quick or options.tested or options.worker):
        require_green(GPU_TESTS)
    bench = Bench(
        module="benchmarks.models",
        what="models",
        device=options.device,
        keys=keys,
        measure=lambda journal, key: measure(key, timing),
        report=report,
        patience=540,  # compiling 152 layers, forward and backward, takes minutes
    )
    run_bench(bench, options)
