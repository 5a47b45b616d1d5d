"""What a network costs: parameters, BatchNorm statistics and multiply-adds, counted without allocating it.

Networks are built on the meta device, so that counting the largest takes seconds and no memory. Multiply-adds are
those of convolutions, matrix products and lambda layers for one image; the position part is counted in the paper's
order, the lambda convolution, whatever order would run: n·r²·k·u·v to build the lambdas and n·h·k·v to apply them,
r no wider than the map can use (2·size − 1).
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn

from lambdanets.layers import LambdaLayer
from lambdanets.models.network import MIN_SIZE
from lambdanets.models.registry import create_model, model_family


@dataclass(frozen=True, kw_only=True)
class Description:
    """A network in numbers."""

    name: str
    """Name for `create_model`."""
    image_size: int
    """Side in pixels of the image that the multiply-adds are counted for."""
    in_chans: int
    """Channels of that image."""
    num_classes: int
    """Outputs of the classifier."""
    parameters: int
    """Trainable numbers; a shared table counts once."""
    statistics: int
    """Running means and variances of the BatchNorms, which some papers count as parameters."""
    multiply_adds: int
    """For one image, in the paper's order of contraction."""
    lambda_blocks: int
    """Bottlenecks that hold a lambda layer."""


def describe(name: str, *, image_size: int | None = None, **options: Any) -> Description:
    """The numbers of the network `name`, by default for the images and classes that it is meant for.

    Args:
        name: one of `list_models()`.
        image_size: side of the square images in pixels, at least 32.
        options: as for `create_model`, `num_classes` and `in_chans` among them.

    Raises:
        ValueError: as `create_model`, and for images too small.
    """
    spec = model_family(name).specs[name]
    size = spec.image_size if image_size is None else image_size
    if size < MIN_SIZE:
        raise ValueError(f"image_size is {size}; the networks take images of {MIN_SIZE} pixels a side or more.")
    with torch.device("meta"):
        model = create_model(name, **{"in_chans": spec.in_chans, "num_classes": spec.num_classes} | options).eval()
        images = torch.empty(1, model.in_chans, size, size)
    parameters, statistics = count_parameters(model), count_statistics(model)
    remove_norms(model)  # they cost none of what is counted, and half the time of counting
    return Description(
        name=name,
        image_size=size,
        in_chans=model.in_chans,
        num_classes=model.num_classes,
        parameters=parameters,
        statistics=statistics,
        multiply_adds=count_multiply_adds(model, images),
        lambda_blocks=sum(1 for part in model.modules() if isinstance(part, LambdaLayer)),
    )


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers of a module; tied parameters count once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_statistics(model: nn.Module) -> int:
    """Running means and variances of a module's BatchNorms."""
    return sum(
        buffer.numel() for name, buffer in model.named_buffers() if name.endswith(("running_mean", "running_var"))
    )


def remove_norms(model: nn.Module) -> None:
    """Put identities in the place of a model's BatchNorms."""
    for part in list(model.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(part, name, nn.Identity())


def count_multiply_adds(model: nn.Module, images: torch.Tensor) -> int:
    """Multiply-adds of one forward pass over `images`; meta tensors are enough."""
    from torch.utils.flop_counter import FlopCounterMode  # it loads Triton, where that is installed

    # The counter knows `baddbmm`, not its form in place, by which the content part is added.
    mapping = {torch.ops.lambdanets.position: position_flops, torch.ops.aten.baddbmm_: added_product_flops}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        model(images)
    return counter.get_total_flops() // 2


def position_flops(query: tuple[int, ...], value: tuple[int, ...], table: tuple[int, ...], *_: Any, **__: Any) -> int:
    """Twice the multiply-adds of the position part in the paper's order, from the shapes of its tensors.

    Args:
        query: (b, h, k, *N).
        value: (b, v, u, *N).
        table: (k, u, *R).
    """
    b, h, k, *size = query
    v, u = value[1:3]
    window = prod(min(side, 2 * extent - 1) for side, extent in zip(table[2:], size, strict=True))
    return 2 * b * prod(size) * k * v * (window * u + h)


def added_product_flops(_: Any, left: tuple[int, ...], right: tuple[int, ...], **__: Any) -> int:
    """Twice the multiply-adds of a batch of matrix products (b, n, k) · (b, k, v), from their shapes."""
    return 2 * prod(left) * right[-1]
