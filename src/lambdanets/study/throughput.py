"""Images a second of whole networks: each is timed in turn with one reference, so that a busy minute touches both.

Every measurement runs in a process of its own with a limit of memory and of time; reaching either is an answer.
Training is a whole step: forward, loss, backward, SGD. Numbers are fp32, on one thread where the device is a CPU.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from lambdanets.models import create_model
from lambdanets.study.measuring import (
    OUT_OF_MEMORY,
    clock_of,
    forward_call,
    free_bytes,
    fresh_answer,
    interleaved,
    step_call,
)
from lambdanets.study.part import Answer

MEMORY_SHARE = 0.85
"""Of what is free, what a network may take."""
NUM_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class Network:
    """A classifier at an image size."""

    name: str
    """For `create_model` of its library."""
    side: int
    """Of its square images, in pixels."""
    library: Literal["lambdanets", "timm"] = "lambdanets"
    options: Mapping[str, Any] = field(default_factory=dict)
    """For `create_model`, beside the name."""

    @property
    def key(self) -> str:
        """Tells it from others in file names: "resnet50_llll-dim_key-8-224"."""
        options = [f"{name}-{value}" for name, value in self.options.items()]
        return "-".join([self.name, *options, str(self.side)])

    def build(self) -> nn.Module:
        """With freshly drawn weights."""
        if self.library == "lambdanets":
            return create_model(self.name, num_classes=NUM_CLASSES, **self.options)
        import timm  # here, as it takes a second

        return timm.create_model(self.name, num_classes=NUM_CLASSES, **self.options)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How networks are timed."""

    batch: int
    """Images at once."""
    seconds: float
    """For about so long each of the two is run, after a warm-up; the median counts."""
    rounds: int
    """Times that each is run at least; 3 where a single one takes longer than `seconds`."""
    timeout: float
    """Seconds after which a network is too slow."""
    device: str = "cpu"
    may_halve: bool = False
    """Whether a batch that memory is too small for is halved, until a single image is too much."""


def timed(network: Network, reference: Network, *, training: bool, setting: Setting) -> Answer:
    """Seconds an image of the network and of the reference beside it; or {"failed": why}.

    Keys: "seconds", "reference", "batch".
    """
    batch = setting.batch
    while True:
        answer = fresh_answer(
            f"{__name__}:pair",
            limit=int(MEMORY_SHARE * free_bytes(setting.device)),
            device=setting.device,
            timeout=setting.timeout,
            network=asdict(network),
            reference=asdict(reference),
            training=training,
            batch=batch,
            seconds=setting.seconds,
            rounds=setting.rounds,
        )
        if not isinstance(answer, str):
            return answer | {"batch": batch}
        if answer != OUT_OF_MEMORY or batch == 1 or not setting.may_halve:
            return {"failed": answer, "batch": batch}
        batch //= 2


def pair(
    *,
    network: Mapping[str, Any],
    reference: Mapping[str, Any],
    training: bool,
    batch: int,
    seconds: float,
    rounds: int,
    device: str,
) -> dict[str, float]:
    """What `timed` asks a process of its own: seconds an image of both, in turn."""
    calls = {
        name: _call(Network(**asked), training, batch, device)
        for name, asked in (("seconds", network), ("reference", reference))
    }
    times = interleaved(calls, seconds=seconds, rounds=rounds, clock=clock_of(device))
    return {name: took / batch for name, took in times.items()}


def _call(network: Network, training: bool, batch: int, device: str) -> Callable[[], object]:
    with torch.device(device):
        model, images = network.build(), torch.randn(batch, 3, network.side, network.side)
        labels = torch.randint(NUM_CLASSES, (batch,))
    return step_call(model, images, labels) if training else forward_call(model, images)


def reference_seconds(answers: Iterable[Answer]) -> float | None:
    """Seconds an image of the reference: the median over all who were timed beside it; None: nobody was."""
    seconds = [answer["reference"] for answer in answers if "reference" in answer]
    return statistics.median(seconds) if seconds else None


def relative(answer: Answer) -> float | str:
    """Speed over the reference's, timed in the same minutes; or why there is none."""
    return answer["failed"] if "failed" in answer else answer["reference"] / answer["seconds"]
