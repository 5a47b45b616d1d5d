"""What a loader hands to the training of a detector: pictures of any sizes, what is in them, which could not be read.

Letters: b batch, n objects, y rows and x columns of pixels.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class DetectionBatch(NamedTuple):
    """Some pictures of a split, in the order they were asked for. One that cannot be read keeps its place."""

    images: list[Tensor]
    """Of each picture (3, y, x) pixels in 0…1; sizes may differ. Zeros for a picture that could not be read."""
    targets: list[dict[str, Tensor]]
    """Of each picture, under torchvision's names: boxes (n, 4) x0 y0 x1 y1 in pixels, labels (n,) from 1,
    masks (n, y, x) of 0 and 1, image_id (), area (n,), iscrowd (n,). n may be 0."""
    weights: Float[Tensor, " b"]
    """1, or 0 for a picture that could not be read: it teaches nothing, and what is in it counts as missed."""
    notes: tuple[str, ...] = ()
    """One sentence for each picture that could not be read: which, and why."""

    def to(self, device: torch.device | str) -> "DetectionBatch":
        """The batch on another device; the copy of pinned memory to a GPU does not wait."""
        return self._each(lambda part: part.to(device, non_blocking=part.is_pinned()))

    def pin_memory(self) -> "DetectionBatch":
        """The batch in memory that a GPU reads by itself."""
        return self._each(lambda part: part.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> "DetectionBatch":
        images = [change(image) for image in self.images]
        targets = [{name: change(part) for name, part in target.items()} for target in self.targets]
        return DetectionBatch(images, targets, change(self.weights), self.notes)
