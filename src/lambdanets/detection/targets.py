"""What a detector may be given, checked once at the public edge."""

import torch
from torch import Tensor

from lambdanets.detection.sizes import Target


def check_images(images: list[Tensor]) -> None:
    """Raise ValueError unless there are images, each (3, y, x) of floating point and not empty."""
    if not isinstance(images, list | tuple):
        shape = f" of shape {tuple(images.shape)}" if isinstance(images, Tensor) else ""
        raise ValueError(f"got a {type(images).__name__}{shape} for images; give a list of tensors (3, rows, columns).")
    if not images:
        raise ValueError("got no images; give a list of one or more.")
    for image in images:
        if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape or not image.is_floating_point():
            raise ValueError(
                f"got an image of shape {tuple(image.shape)} and {image.dtype}; wanted (3, rows, columns) of floating "
                "point, values 0 to 1."
            )


def check_targets(images: list[Tensor], targets: list[Target] | None, num_classes: int) -> None:
    """Raise ValueError unless every image has boxes of an area, as many labels that exist, and masks of its size."""
    if targets is None or len(targets) != len(images):
        raise ValueError(f"got {len(targets or [])} targets for {len(images)} images; training wants one an image.")
    for number, (image, target) in enumerate(zip(images, targets, strict=True)):
        missing = {"boxes", "labels", "masks"} - target.keys()
        if missing:
            raise ValueError(f"target {number} has no {', '.join(sorted(missing))}; give boxes, labels and masks.")
        boxes, labels, masks = target["boxes"], target["labels"], target["masks"]
        n, sides = len(boxes), tuple(image.shape[1:])
        shapes = (tuple(boxes.shape), tuple(labels.shape), tuple(masks.shape))
        if shapes != ((n, 4), (n,), (n, *sides)):
            raise ValueError(
                f"target {number} has boxes, labels and masks of shapes {shapes}; wanted (n, 4), (n,) and "
                f"{('n', *sides)}, as its image is.".replace("'", "")
            )
        if n and not (boxes.isfinite().all() and (boxes[:, 2:] > boxes[:, :2]).all()):
            raise ValueError(f"target {number} has a box without an area, or one that is not finite: leave it out.")
        if n and (labels.dtype != torch.int64 or labels.min() < 1 or labels.max() >= num_classes):
            raise ValueError(
                f"target {number} has labels {sorted(set(labels.tolist()))} of {labels.dtype}; wanted int64, 1 to "
                f"{num_classes - 1}."
            )
