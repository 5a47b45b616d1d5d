"""RoIAlign on the level that fits each box; on small maps on a CPU as two matrix products.

The mean of bilinear samples is separable: a box of an image F (d, y, x) becomes Y · F · Xᵀ, where Y (side, y) and
X (side, x) hold the weights of rows and columns. torchvision's kernel reads and, in the backward pass, adds number by
number in one thread; on the maps of small images the products take a third to a tenth of its time. The results are
the same but for rounding.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign, roi_align
from torchvision.ops.poolers import LevelMapper

SAMPLES = 2
"""Bilinear samples a position, along each axis."""
SMALL = 40 * 40
"""Positions of a map up to which the products are faster."""
CANONICAL_LEVEL = 4


class LevelPool(MultiScaleRoIAlign):
    """torchvision's pool, with scales that are given: it would infer them from the first batch, padding and all.

    Args:
        levels: those of the pyramid that boxes are looked up on, without gaps; level l has stride 2**l.
        side: positions of the result along each axis.
        canonical_size: side in pixels of boxes that belong to level 4; half of it belongs to level 3, and so on.
    """

    def __init__(self, levels: list[int], side: int, *, canonical_size: int) -> None:
        super().__init__([f"p{level}" for level in levels], side, SAMPLES)
        self.side = side
        self.strides = [2.0**level for level in levels]
        self.level_of = LevelMapper(levels[0], levels[-1], canonical_size, CANONICAL_LEVEL)

    def forward(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Float[Tensor, "n d side side"]:
        """What is at the boxes of all images, in their order.

        Args:
            x: pyramid levels (b, d, y, x) by name.
            boxes: (n, 4) an image, in pixels of the batch.
            image_shapes: not needed.
        """
        maps = [x[name] for name in self.featmap_names]
        if len(maps) == 1:
            return self.pool(maps[0], boxes, self.strides[0])
        counts = [len(of_image) for of_image in boxes]
        levels = self.level_of(boxes)
        parts, places = [], []
        for number, (level_map, stride) in enumerate(zip(maps, self.strides, strict=True)):
            chosen = levels == number
            of_level = [of_image[here] for of_image, here in zip(boxes, chosen.split(counts), strict=True)]
            parts.append(self.pool(level_map, of_level, stride))
            places.append(torch.where(chosen)[0])
        return torch.cat(parts)[torch.cat(places).argsort()]

    def pool(self, level: Tensor, boxes: list[Tensor], stride: float) -> Tensor:
        """What is at the boxes, all looked up on one level."""
        if level.is_cuda or level.shape[-2:].numel() > SMALL:
            return roi_align(level, boxes, self.side, 1 / stride, SAMPLES)
        return torch.cat([self.products(x, of_image / stride) for x, of_image in zip(level, boxes, strict=True)])

    def products(self, x: Float[Tensor, "d y x"], boxes: Float[Tensor, "n 4"]) -> Float[Tensor, "n d side side"]:
        """What is at the boxes of one image, in positions of its map."""
        rows, columns = (bilinear_weights(boxes[:, [axis, axis + 2]], x.shape[2 - axis], self.side) for axis in (1, 0))
        d, y, _ = x.shape
        n, side = len(boxes), self.side
        across = x.flatten(0, 1) @ columns.to(x.dtype).flatten(0, 1).mT  # (d·y, n·side)
        across = across.view(d, y, n, side).permute(2, 1, 0, 3).reshape(n, y, d * side)
        return torch.bmm(rows.to(x.dtype), across).view(n, side, d, side).transpose(1, 2)


def bilinear_weights(spans: Float[Tensor, "n 2"], size: int, side: int) -> Float[Tensor, "n side size"]:
    """What each position of an axis counts in each of `side` parts of a span, as RoIAlign has it.

    Args:
        spans: first and last coordinate of each box; a span shorter than 1 is taken as 1.
        size: positions of the axis.
        side: parts that a span is cut into.
    """
    first, length = spans[:, :1], (spans[:, 1:] - spans[:, :1]).clamp(min=1)
    steps = (torch.arange(side * SAMPLES, device=spans.device, dtype=spans.dtype) + 0.5) / (side * SAMPLES)
    at = first + length * steps
    inside = (at >= -1) & (at <= size)
    distance = at.clamp(0, size - 1)[..., None] - torch.arange(size, device=spans.device, dtype=spans.dtype)
    weights = (1 - distance.abs()).clamp(min=0) * inside[..., None]
    return weights.unflatten(1, (side, SAMPLES)).mean(2)
