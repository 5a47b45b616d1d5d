"""What is in one picture: boxes, labels and masks of its objects, and the road to torchvision's names for them.

Letters: n objects, y rows and x columns of pixels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Objects:
    """The n objects of one picture; n may be 0."""

    boxes: Float[Tensor, "n 4"]
    """x0 y0 x1 y1 in pixels of the picture: from the left and upper edge of its first pixel, x1 > x0, y1 > y0."""
    labels: Int[Tensor, " n"]
    """1 … number of classes; 0 is the background."""
    masks: UInt8[Tensor, "n y x"]
    """1 where the object is seen, else 0."""
    crowd: Bool[Tensor, " n"]
    """Whether it stands for many objects in one: nothing to learn from, and judged apart."""
    areas: Float[Tensor, " n"]
    """In pixels of the picture."""

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.labels)

    def part(self, places: Tensor) -> "Objects":
        """Only the objects at these places: numbers, or a flag for each."""
        return Objects(*(part[places] for part in (self.boxes, self.labels, self.masks, self.crowd, self.areas)))

    def as_target(self, image_id: int) -> dict[str, Tensor]:
        """The same under the names that torchvision's detectors and its evaluation know."""
        return {
            "boxes": self.boxes,
            "labels": self.labels,
            "masks": self.masks,
            "image_id": torch.tensor(image_id),
            "area": self.areas,
            "iscrowd": self.crowd.long(),
        }


def objects_of_masks(masks: UInt8[Tensor, "n y x"], labels: Int[Tensor, " n"]) -> Objects:
    """The objects with these masks, none of them empty; boxes are tight around them, areas are counted."""
    boxes, areas = tight_boxes(masks), masks.sum((1, 2), dtype=torch.float32)
    return Objects(boxes, labels, masks, torch.zeros(len(masks), dtype=torch.bool), areas)


def no_objects(rows: int, columns: int) -> Objects:
    """Of a picture in which there is nothing."""
    return objects_of_masks(torch.zeros(0, rows, columns, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))


def tight_boxes(masks: UInt8[Tensor, "n y x"]) -> Float[Tensor, "n 4"]:
    """x0 y0 x1 y1 around the pixels of each mask; (0, 0, 0, 0) for an empty one."""
    top, bottom = _extent(masks.any(2).bool())
    left, right = _extent(masks.any(1).bool())
    return torch.stack([left, top, right, bottom], dim=1).float()


def _extent(marked: Bool[Tensor, "n s"]) -> tuple[Tensor, Tensor]:
    """The first marked place of each row, and the one behind the last."""
    marked = F.pad(marked, (0, 1))  # so that there is a place, whatever the size
    beyond = torch.where(marked, torch.arange(1, marked.shape[1] + 1), 0).amax(1)
    return torch.where(beyond > 0, marked.long().argmax(1), 0), beyond
