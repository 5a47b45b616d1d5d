"""What a loader hands to training: images, labels, and which of them could not be read.

Letters: b batch, c channels, y rows and x columns of pixels.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class LabelledBatch(NamedTuple):
    """Some samples of a split, in the order they were asked for. A sample keeps its place even if it has no image."""

    images: Float[Tensor, "b c y x"]
    """Network input. Zeros for a picture that could not be read."""
    labels: Tensor
    """(b,) int64, or (b, classes) probabilities that sum to one. −1 where no label is known."""
    weights: Float[Tensor, " b"]
    """1, or 0 for a picture that could not be read: it teaches nothing, and is judged to be wrong. In training another
    positive number where a label is to count more or less."""
    notes: tuple[str, ...] = ()
    """One sentence for each picture that could not be read: which, and why."""

    def to(self, device: torch.device | str) -> "LabelledBatch":
        """The batch on another device; the copy of pinned memory to a GPU does not wait."""
        images, labels, weights = (part.to(device, non_blocking=part.is_pinned()) for part in self[:3])
        return LabelledBatch(images, labels, weights, self.notes)

    def pin_memory(self) -> "LabelledBatch":
        """The batch in memory that a GPU reads by itself; called by torch's DataLoader."""
        images, labels, weights = (part.pin_memory() for part in self[:3])
        return LabelledBatch(images, labels, weights, self.notes)


def whole_batch(images: Float[Tensor, "b c y x"], labels: Tensor) -> LabelledBatch:
    """A batch of which every image could be read."""
    return LabelledBatch(images, labels, torch.ones(len(images)))
