"""Images to a padded batch, which says how large each of them is, and detections back to the images' own pixels."""

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

STRIDE = 32
"""Sides of a batch are multiples of this."""
LEAST = 64
"""Sides of a batch in pixels at least: the last map of the backbone then has four values or more a channel."""

Target = dict[str, Tensor]


class Sizing(GeneralizedRCNNTransform):
    """torchvision's transform, which also takes images so thin that scaling would leave nothing of them.

    Args:
        min_size: the shorter side of a scaled image, unless the longer one would exceed max_size.
        max_size: the longer side at most.
        mean: a number a channel.
        std: likewise.
        scale_training: whether images are scaled in training, too.
    """

    def __init__(
        self, min_size: int, max_size: int, mean: tuple[float, ...], std: tuple[float, ...], *, scale_training: bool
    ) -> None:
        super().__init__(min_size, max_size, list(mean), list(std), size_divisible=STRIDE)
        self.shorter, self.longer = min_size, max_size
        self.scale_training = scale_training

    def resize(self, image: Tensor, target: Target | None = None) -> tuple[Tensor, Target | None]:
        """The image (3, y, x) at the size for the network, and its target with boxes and masks scaled alike."""
        before = image.shape[-2:]
        size = self.size_for_network(*before)
        if size == before:
            return image, target
        image = F.interpolate(image[None], size=size, mode="bilinear", align_corners=False)[0]
        if target is None:
            return image, target
        target["boxes"] = resize_boxes(target["boxes"], list(before), list(size)).to(target["boxes"].dtype)
        if "masks" in target:
            masks = target["masks"][:, None].float()
            target["masks"] = F.interpolate(masks, size=size)[:, 0].byte() if len(masks) else masks.new_zeros(0, *size)
        return image, target

    def size_for_network(self, height: int, width: int) -> torch.Size:
        """Sides in pixels after scaling, each 1 or more."""
        if self.training and not self.scale_training:
            return torch.Size((height, width))
        wanted, side = self.shorter, min(height, width)
        if self.shorter * max(height, width) > self.longer * side:
            wanted, side = self.longer, max(height, width)
        return torch.Size(max(1, number * wanted // side) for number in (height, width))  # whole numbers round nothing

    def batch_images(self, images: list[Tensor], size_divisible: int = STRIDE) -> Tensor:
        """The images (b, 3, y, x), zero to the right of and below each."""
        sides = [max(image.shape[axis] for image in images) for axis in (-2, -1)]
        rows, columns = (max(LEAST, -(-side // size_divisible) * size_divisible) for side in sides)
        batch = images[0].new_zeros(len(images), images[0].shape[0], rows, columns)
        for padded, image in zip(batch, images, strict=True):
            padded[:, : image.shape[-2], : image.shape[-1]] = image
        return batch


def visible_positions(batch: ImageList) -> Bool[Tensor, "b y x"] | None:
    """Where the batch is image and not padding; None where it is image everywhere."""
    rows, columns = batch.tensors.shape[-2:]
    if all(size == (rows, columns) for size in batch.image_sizes):
        return None
    sizes = torch.tensor(batch.image_sizes, device=batch.tensors.device)
    y, x = (torch.arange(side, device=sizes.device) for side in (rows, columns))
    return (y < sizes[:, :1])[:, :, None] & (x < sizes[:, 1:])[:, None]


def edge_repeated(x: Tensor, visible: Tensor) -> Tensor:
    """The map (b, d, y, x) with its last visible row and column once more beside them, where there is padding.

    RoIAlign interpolates between the last position of an image and the next; where no next one is, it takes the last.
    """
    for axis in (-2, -1):
        after = visible.roll(1, axis) & ~visible
        after.select(axis, 0).fill_(False)  # what rolled in from the other end
        x = torch.where(after[:, None], x.roll(1, axis), x)
        visible = visible | after
    return x
