"""Backbones inside the detector: what they cost, and what padding does to detections.

    python -m benchmarks.detectors [--only padding counts costs] [--pixels 1024] [--training-pixels 512] [--quick]

The convolutional networks are those of the family with 3 × 3 convolutions in place of the lambda layers: ResNet-RS stem
and ResNet-D shortcuts, with squeeze-excite in every block ("+ SE") or in none. Average precision is the paper's, from
its own training; nothing here was trained on COCO.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.harness import environment, require_green, write_report
from lambdanets.data.digit_scenes import SceneConfig
from lambdanets.detection import Detector, create_detector
from lambdanets.models import count_parameters
from lambdanets.models.counting import count_multiply_adds, remove_norms
from lambdanets.models.lambda_resnet import SPECS
from lambdanets.models.lambdas import LambdaOptions, build_lambda_network
from lambdanets.models.network import ResNet
from lambdanets.models.spec import NetworkSpec
from lambdanets.study.measuring import in_fresh_process, peak_bytes

PAPER = {
    "ResNet-101": ("48.2", "42.6"), "ResNet-101 + SE": ("48.5", "42.8"), "LambdaResNet-101": ("49.4", "43.5"),
    "ResNet-152": ("48.9", "43.2"), "ResNet-152 + SE": ("49.4", "43.5"), "LambdaResNet-152": ("50.0", "43.9"),
}  # fmt: skip
"""Box and mask AP, printed in the paper."""
PROPOSALS, DETECTIONS = 1000, 100
"""What the heads see of an image when multiply-adds are counted."""
SECTIONS = ("padding", "counts", "costs")
NUM_STEPS = 80
"""Training steps of the small detectors that the padding is shown to."""


def body(name: str) -> ResNet:
    """One of the networks of `PAPER`."""
    depth = "101" if "101" in name else "152"
    spec = SPECS[f"lambda_resnet{depth}"]
    if not name.startswith("Lambda"):
        spec = convolutional(spec, squeeze_excite=0.25 if "SE" in name else None)
    return build_lambda_network(spec, LambdaOptions(), num_classes=0, in_chans=3)


def convolutional(spec: NetworkSpec, *, squeeze_excite: float | None) -> NetworkSpec:
    """The network with 3 × 3 convolutions throughout."""
    c2, c3, c4, c5 = (replace(stage, mixer_blocks=(), squeeze_excite=squeeze_excite) for stage in spec.stages)
    return replace(spec, stages=(c2, c3, c4, c5))


class Parts(nn.Module):
    """All of a detector that multiplies, on as many proposals and detections as there may be."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> None:
        """Backbone, pyramid, proposals' head, and both heads; nothing that depends on values."""
        levels, _ = self.detector.backbone(images)
        self.detector.rpn.head(list(levels.values()))
        heads, dim = self.detector.roi_heads, self.detector.backbone.out_channels
        heads.box_predictor(heads.box_head(images.new_empty(PROPOSALS, dim, 7, 7)))
        heads.mask_predictor(heads.mask_head(images.new_empty(DETECTIONS, dim, 14, 14)))


def multiply_adds(name: str, pixels: int, *, whole: bool = True) -> int:
    """Of one image, counted on meta tensors; without `whole` those of the backbone, c2 … c5, alone."""
    with torch.device("meta"):
        detector = create_detector(body(name)).eval()
        images = torch.empty(1, 3, pixels, pixels)
    remove_norms(detector)
    return count_multiply_adds(Parts(detector) if whole else detector.backbone.body, images)


def prediction(name: str, pixels: int) -> Callable[[], object]:
    """Detections in one image."""
    torch.manual_seed(0)
    detector = create_detector(body(name), min_size=pixels, max_size=pixels).eval()
    image = torch.rand(3, pixels, pixels)

    def call() -> None:
        with torch.no_grad():
            detector([image])

    return call


def training_step(name: str, pixels: int) -> Callable[[], object]:
    """Forward and backward of one image with three objects."""
    torch.manual_seed(0)
    detector = create_detector(body(name), min_size=pixels, max_size=pixels)
    boxes = torch.tensor([[0.1, 0.1, 0.5, 0.6], [0.3, 0.2, 0.9, 0.4], [0.7, 0.7, 0.8, 0.8]]) * pixels
    masks = torch.ones(3, pixels, pixels, dtype=torch.uint8)
    image, target = torch.rand(3, pixels, pixels), {"boxes": boxes, "labels": torch.tensor([1, 2, 3]), "masks": masks}

    def call() -> None:
        detector.zero_grad()
        sum(detector([image], [target]).values()).backward()

    return call


def cpu_seconds(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Medians of CPU time, run in turn after one warm-up each."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if turn:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def count_lines(pixels: int) -> list[str]:
    """The table of what can be counted, beside the paper's precision."""
    lines = [
        f"Multiply-adds of one image of {pixels} × {pixels}, with {PROPOSALS} proposals and {DETECTIONS} masks.",
        "",
        "| backbone | M parameters | G multiply-adds | of them the backbone | box AP, paper | mask AP, paper |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, (box, mask) in PAPER.items():
        with torch.device("meta"):
            parameters = count_parameters(create_detector(body(name)))
        whole, alone = multiply_adds(name, pixels), multiply_adds(name, pixels, whole=False)
        lines.append(f"| {name} | {parameters / 1e6:.1f} | {whole / 1e9:.0f} | {alone / 1e9:.0f} | {box} | {mask} |")
    return lines


def cost_lines(names: list[str], pixels: int, training_pixels: int, rounds: int) -> list[str]:
    """The table of what was measured."""
    predicting, training = {}, {}
    for name in names:
        predicting |= cpu_seconds({name: prediction(name, pixels)}, rounds)
        training |= cpu_seconds({name: training_step(name, training_pixels)}, rounds)
    lines = [
        f"| backbone | predicting {pixels} px, s | images/s over ResNet's | training step {training_pixels} px, s "
        "| peak of it, MiB |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in names:
        plain = name.replace("Lambda", "").replace(" + SE", "")
        peak = float(in_fresh_process("benchmarks.detectors", "--peak", name, str(training_pixels)) or math.nan)
        lines.append(
            f"| {name} | {predicting[name]:.1f} | {predicting[plain] / predicting[name]:.2f} | {training[name]:.1f} "
            f"| {peak:.0f} |"
        )
    return lines


def trained_small(backbone: str) -> Detector:
    """A small detector after `NUM_STEPS` steps on scenes of digits."""
    torch.manual_seed(0)
    detector = create_detector(
        backbone, num_classes=11, scale_training=False, pyramid_dim=48, box_dims=(48,), box_hidden=96,
        mask_dims=(48, 48), anchor_sizes=(24, 32, 48, 64, 96), proposals_training=(200, 60), proposals=(200, 60),
        boxes_sampled=32, anchors_sampled=64,
    )  # fmt: skip
    split = SceneConfig(num_train=400, num_test=1).load().train
    optimizer = torch.optim.AdamW(detector.parameters(), lr=2e-3)
    for step in range(NUM_STEPS):
        batch = split.augmented(np.arange(step * 8, step * 8 + 8) % 400, np.full(8, step // 50), 0)
        optimizer.zero_grad()
        sum(detector(batch.images, batch.targets).values()).backward()
        optimizer.step()
    detector.eval().transform.train()  # which scales nothing
    return detector


@contextmanager
def padding_ignored() -> Iterator[None]:
    """While it lasts, a detector takes the padding of a batch for image, as torchvision's does."""

    def everywhere(anchors: Tensor, images: object) -> Tensor:
        return torch.ones(len(images.image_sizes), len(anchors), dtype=torch.bool)  # type: ignore[attr-defined]

    with (
        mock.patch("lambdanets.detection.detector.visible_positions", return_value=None),
        mock.patch("lambdanets.detection.proposals.anchors_inside", everywhere),
    ):
        yield


@torch.no_grad()
def left_of_padding(detector: Detector, images: list[Tensor], larger: Tensor) -> tuple[float, float, int]:
    """(largest change of a score, of a box's side in pixels, detections lost or won) of batching with a larger image.

    Detections are compared where both have as many of the same classes in the same order.
    """
    scores, sides, changed = [0.0], [0.0], 0
    for image in images:
        (alone,), (together, _) = detector([image]), detector([image, larger])
        if not torch.equal(alone["labels"], together["labels"]):
            changed += 1
            continue
        if len(alone["labels"]):
            scores.append((alone["scores"] - together["scores"]).abs().max().item())
            sides.append((alone["boxes"] - together["boxes"]).abs().max().item())
    return max(scores), max(sides), changed


def padding_lines(num_images: int) -> list[str]:
    """The table of what is left of padding."""
    scenes = SceneConfig(num_train=1, num_test=num_images).load().test.plain(np.arange(num_images))
    larger = torch.rand(3, 224, 288, generator=torch.Generator().manual_seed(0))
    lines = [
        f"The same {num_images} scenes of 96 × 96 pixels, each alone and in a batch with an image of 224 × 288, by "
        f"small detectors after {NUM_STEPS} training steps.",
        "",
        "| backbone | padding is | largest change of a score | of a box, pixels | scenes whose classes changed |",
        "|---|---|--:|--:|--:|",
    ]
    for backbone in ("lambda_scenes", "conv_scenes"):
        detector = trained_small(backbone)
        exact = left_of_padding(detector, scenes.images, larger)
        with padding_ignored():
            ignored = left_of_padding(detector, scenes.images, larger)
        for what, (score, side, changed) in (("known", exact), ("taken for image", ignored)):
            lines.append(f"| {backbone} | {what} | {score:.1e} | {side:.1e} | {changed} |")
    return lines


def main(arguments: Iterable[str] = sys.argv[1:]) -> None:
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--backbones", nargs="+", choices=PAPER, default=list(PAPER), help="whose costs; ResNet first")
    parser.add_argument("--pixels", type=int, default=1024)
    parser.add_argument("--training-pixels", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="no tests first, no report")
    parser.add_argument("--peak", nargs=2, metavar=("BACKBONE", "PIXELS"), help="print one peak in MiB and stop")
    options = parser.parse_args(list(arguments))
    torch.set_num_threads(1)
    if options.peak:
        print(peak_bytes(training_step(options.peak[0], int(options.peak[1]))) / 2**20)
        return
    if not options.quick:
        require_green("tests/detection")
    sections = {
        "padding": lambda: padding_lines(options.scenes),
        "counts": lambda: count_lines(options.pixels),
        "costs": lambda: cost_lines(options.backbones, options.pixels, options.training_pixels, options.rounds),
    }
    lines = ["# Backbones inside Mask R-CNN", "", environment(), ""]
    for name in options.only:
        lines += [*sections[name](), ""]
        print("\n".join(lines), flush=True)
    if not options.quick:
        print(f"wrote {write_report('detectors', chr(10).join(lines))}")


if __name__ == "__main__":
    main()
