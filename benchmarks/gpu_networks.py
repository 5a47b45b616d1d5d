"""Whole networks on a GPU, one measurement a key: what `python -m benchmarks.models --device cuda` asks for.

bf16 by autocast, channels_last; training is a whole step: forward, loss, backward, SGD.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from benchmarks.gpu_calls import OUT_OF_MEMORY, Autocast, Guarded, release
from benchmarks.journal import Answer
from lambdanets.models import create_model
from lambdanets.models.baselines import build_convolutional
from lambdanets.models.lambda_resnet import SPECS
from lambdanets.models.spec import NetworkOptions
from lambdanets.ops.stopwatch import stopwatch
from lambdanets.study.measuring import forward_call, free_bytes, interleaved, peak_bytes, step_call
from lambdanets.study.throughput import NUM_CLASSES, Network

PASSES = ("training", "inference")
LARGE_STEP = 8
"""Images by which the largest batch is sought."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How networks are timed."""

    device: str
    batch: int = 128
    """Images at once; halved where memory is too small for them."""
    seconds: float = 2.0
    rounds: int = 5


def plain_network(name: str) -> nn.Module:
    """The network of the family with a 3 × 3 convolution in place of each lambda layer."""
    spec = SPECS[name]
    stages = tuple(replace(stage, mixer_blocks=()) for stage in spec.stages)
    return build_convolutional(
        replace(spec, stages=stages), NetworkOptions(), num_classes=NUM_CLASSES, in_chans=spec.in_chans
    )


def call_of(
    build: Callable[[], nn.Module], side: int, batch: int, device: str, *, what: str, compiled: bool = False
) -> Callable[[], object]:
    """A training step, or a forward pass in eval mode, on drawn images of so many pixels a side."""
    with torch.device(device):
        network, images = build(), torch.randn(batch, 3, side, side)
        labels = torch.randint(NUM_CLASSES, (batch,))
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if compiled:
        network.compile(dynamic=False)
    given, ready = images.contiguous(memory_format=torch.channels_last), Autocast(network, device)
    return step_call(ready, given, labels) if what == "training" else forward_call(ready, given)


def alone(network: Network, what: str, timing: Timing) -> Answer:
    """{"seconds": of an image, "batch"}; or {"failed": why}, out of memory with a single image for one."""
    batch = timing.batch
    while True:
        guard, size = Guarded(timing.device), batch
        took = guard.run(lambda: _seconds({"it": _of(network, size, what, timing)}, timing)["it"])  # noqa: B023 - run now
        if took is not None:
            return {"seconds": took / batch, "batch": batch}
        if guard.failed != OUT_OF_MEMORY or batch == 1:
            return {"failed": guard.failed}
        batch //= 2


def _of(network: Network, batch: int, what: str, timing: Timing) -> Callable[[], object]:
    return call_of(network.build, network.side, batch, timing.device, what=what)


def beside_convolutions(name: str, side: int, what: str, timing: Timing, *, compiled: bool) -> Answer:
    """Seconds of the network and of it with convolutions, in turn; and the peak of each: {"lambda": …, "plain": …}."""
    builds = {"lambda": lambda: create_model(name, num_classes=NUM_CLASSES), "plain": lambda: plain_network(name)}
    calls = {
        one: call_of(build, side, timing.batch, timing.device, what=what, compiled=compiled)
        for one, build in builds.items()
    }
    seconds = _seconds(calls, timing)
    peaks = {one: peak_bytes(call, timing.device) for one, call in calls.items()}
    return {one: {"seconds": seconds[one], "peak": peaks[one]} for one in calls} | {"batch": timing.batch}


def largest_step(name: str, side: int, timing: Timing) -> Answer:
    """The training step of the largest batch that fits: {"batch", "seconds": of the step, "peak"}."""
    network = Network(name=name, side=side)

    def peak_at(batch: int) -> int:
        release(timing.device)
        return peak_bytes(_of(network, batch, "training", timing), timing.device)

    batch = largest_that_fits(peak_at, lambda: free_bytes(timing.device))
    release(timing.device)
    call = _of(network, batch, "training", timing)
    seconds = _seconds({"it": call}, replace(timing, rounds=3))["it"]
    return {"batch": batch, "seconds": seconds, "peak": peak_bytes(call, timing.device)}


def largest_that_fits(peak_at: Callable[[int], int], free: Callable[[], int]) -> int:
    """The largest batch, by steps of some images, whose peak can be had; two small ones tell where to look.

    Raises:
        torch.OutOfMemoryError: not even the smallest fits.
    """
    room = free()
    small = peak_at(LARGE_STEP)
    each = max(1.0, (peak_at(2 * LARGE_STEP) - small) / LARGE_STEP)
    batch = max(LARGE_STEP, int((room - small) / each + LARGE_STEP) // LARGE_STEP * LARGE_STEP)
    while True:
        try:
            peak_at(batch)
            return batch
        except torch.OutOfMemoryError:
            if batch == LARGE_STEP:
                raise
            batch = max(LARGE_STEP, (batch - max(LARGE_STEP, batch // 20)) // LARGE_STEP * LARGE_STEP)


def _seconds(calls: dict[str, Callable[[], object]], timing: Timing) -> dict[str, float]:
    """Medians of the calls in turn; each is run once before, which compiles it and chooses algorithms."""
    for call in calls.values():
        call()
    return interleaved(calls, seconds=timing.seconds, rounds=timing.rounds, watch=stopwatch(timing.device))


def chosen(keys: Sequence[str], parts: Sequence[str]) -> list[str]:
    """Those keys that have one of the parts in them; all where no part is given.

    Raises:
        ValueError: a part is in none; says what there is.
    """
    for part in parts:
        if not any(part in key for key in keys):
            raise ValueError(f"got {part!r}; there are: {'; '.join(keys)}")
    return [key for key in keys if not parts or any(part in key for part in parts)]
