"""A training step of resnet50_llll with our layer, the fastest peer's in its place, and without position part.

    python -m benchmarks.models [--batch 8] [--pixels 224] [--quick]
    python -m benchmarks.models --device cuda [--quick] [--minutes 5] [NAME…]    (see `gpu_models`)

The peers (lambda-networks, and the Conv3d form) keep our network around them; "content only" is the ceiling: all that
is not the position part.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterable

import torch
from torch import nn

from benchmarks.cases import Case
from benchmarks.harness import add_gpu_options, environment, require_green, write_report
from benchmarks.peers import Unable, conv3d_form, lambda_networks, timm
from lambdanets import create_model
from lambdanets.layers import LambdaLayer
from lambdanets.study.measuring import in_fresh_process, interleaved, peak_bytes, step_call

PEERS = {"lambda-networks": lambda_networks, "Conv3d form": conv3d_form, "timm": timm}


def build(variant: str) -> nn.Module:
    """resnet50_llll with its lambda layers as they are, of a peer, or without their position part."""
    if variant == "content only":
        return create_model("resnet50_llll", scope=None)
    model = create_model("resnet50_llll")
    if variant != "ours":
        _swap(model, PEERS[variant])
    return model


def _swap(module: nn.Module, peer: Callable[[Case], nn.Module]) -> None:
    for name, child in module.named_children():
        if not isinstance(child, LambdaLayer):
            _swap(child, peer)
            continue
        assert child.positions is not None
        d, h = child.dim_value * child.num_heads, child.num_heads
        case = Case(size=(0, 0), r=child.positions.scope[0], b=1, d=d, k=child.dim_key, h=h)
        setattr(module, name, nn.Sequential(peer(case), child.pool))


def step_of(variant: str, batch: int, pixels: int) -> Callable[[], object]:
    """One training step: forward, loss, backward, SGD."""
    torch.manual_seed(0)
    return step_call(build(variant), torch.randn(batch, 3, pixels, pixels), torch.randint(1000, (batch,)))


def main(arguments: Iterable[str] = sys.argv[1:]) -> None:
    """Measure, print and write the table."""
    options = _options(list(arguments))
    if options.device != "cpu":
        from benchmarks.gpu_models import run_models

        run_models(options)
        return
    torch.set_num_threads(1)
    size = ("--batch", str(options.batch), "--pixels", str(options.pixels))
    if options.peak:
        print(peak_bytes(step_of(options.peak, options.batch, options.pixels)) / 2**20)
        return
    if not options.quick:
        require_green("tests/ops", "tests/layers")
    steps = {}
    for variant in ("ours", *PEERS, "content only"):
        try:
            steps[variant] = step_of(variant, options.batch, options.pixels)
        except (Unable, ImportError) as reason:
            print(f"{variant}: {reason}", file=sys.stderr)
    seconds = interleaved(steps, seconds=1.0, rounds=3)
    peaks = {name: float(in_fresh_process("benchmarks.models", *size, "--peak", name) or math.nan) for name in steps}
    fastest = min((name for name in steps if name in PEERS), key=lambda name: seconds[name], default="ours")
    lines = [
        f"# resnet50_llll, {options.pixels} px, batch {options.batch}: a training step",
        "",
        environment(),
        "",
        "| layer | CPU s a step | peak MiB | time over ours | peak over ours |",
        "|---|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {name} | {seconds[name]:.2f} | {peaks[name]:.0f} | {seconds[name] / seconds['ours']:.2f} "
        f"| {peaks[name] / peaks['ours']:.2f} |"
        for name in steps
    ]
    lines += [
        "",
        f"Against the fastest peer, {fastest}: {seconds[fastest] / seconds['ours']:.2f} × faster in "
        f"{peaks['ours'] / peaks[fastest]:.2f} of its memory; the ceiling, without position part, is "
        f"{seconds[fastest] / seconds['content only']:.2f} ×.",
        "",
    ]
    print("\n".join(lines))
    if not options.quick:
        print(f"wrote {write_report('resnet50_llll', chr(10).join(lines))}")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="no tests first; no report, on a GPU less of it")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--peak", metavar="VARIANT", help="print one peak in MiB and stop")
    gpu = parser.add_argument_group("with --device cuda")
    gpu.add_argument("names", nargs="*", help="parts of what is measured, such as B7 or beside; all if none")
    add_gpu_options(parser, gpu)
    return parser.parse_args(arguments, argparse.Namespace(arguments=arguments))


if __name__ == "__main__":
    main()
