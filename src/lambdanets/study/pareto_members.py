"""The networks of the paper's speed–accuracy figure, with what is printed of each."""

from dataclasses import dataclass
from typing import Literal

from lambdanets.study import paper
from lambdanets.study.throughput import Network

Kind = Literal["LambdaResNet", "EfficientNet", "ResNet", "ResNet + SE"]


@dataclass(frozen=True, kw_only=True)
class Member:
    """A network at an image size, and what the paper says of it."""

    kind: Kind
    label: str
    network: Network
    top1: float | None
    seconds: float | None
    """Of an image in the paper's training step, read off its figure."""
    is_quick: bool


def members() -> tuple[Member, ...]:
    """All that is measured."""
    return (*_family(), *_efficient(), *_residual())


def _family() -> list[Member]:
    return [
        Member(
            kind="LambdaResNet",
            label=f"LambdaResNet-{point.network.removeprefix('lambda_resnet')} @ {point.image_size}",
            network=Network(name=point.network, side=point.image_size),
            top1=point.top1,
            seconds=1 / point.throughput,
            is_quick=point.top1 < 81,
        )
        for point in paper.LAMBDA_RESNETS
    ]


def _efficient() -> list[Member]:
    return [
        Member(
            kind="EfficientNet",
            label=f"EfficientNet-B{point.network[-1]} @ {point.image_size}",
            network=Network(name=point.network, side=point.image_size, library="timm"),
            top1=point.top1,
            seconds=1 / point.throughput,
            is_quick=point.top1 < 80.5,
        )
        for point in paper.EFFICIENTNETS
    ]


def _residual() -> list[Member]:
    """ResNets; the paper prints the accuracy of the smallest alone, after 90 epochs."""
    printed = {row.key: row.top1 for row in paper.TABLE_3}
    kinds: tuple[tuple[Kind, str, str], ...] = (("ResNet", "", "convolution"), ("ResNet + SE", "se", "channel"))
    return [
        Member(
            kind=kind,
            label=f"{kind.replace('ResNet', f'ResNet-{depth}')} @ 224",
            network=Network(name=f"{prefix}resnet{depth}", side=224, library="timm"),
            top1=printed[key] if depth == 50 else None,
            seconds=None,
            is_quick=depth == 50,
        )
        for kind, prefix, key in kinds
        for depth in (50, 101, 152)
    ]
