"""What is done to an image before a network sees it, as one value that data, models, export and serving share.

Letters: b batch, c channels, y rows and x columns of pixels.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """The fixed road from pixels in 0…1 to network input: resize, crop, normalise."""

    size: tuple[int, int]
    """Rows and columns of the network's input, in pixels."""
    crop: float = 1.0
    """Side of the centre that is kept, as a fraction of the resized image, in (0, 1]."""
    mean: tuple[float, ...]
    """Subtracted, one number a channel, on the 0…1 scale."""
    std: tuple[float, ...]
    """Divided by, one positive number a channel, on the 0…1 scale."""
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    """How pixels between pixels are made."""

    def __post_init__(self) -> None:
        """Refuse sizes, crops and statistics that no image could go through."""
        if min(self.size) < 1:
            raise ValueError(f"preprocess size: got {self.size}, wanted two sides of at least 1 pixel.")
        if not 0 < self.crop <= 1:
            raise ValueError(f"preprocess crop: got {self.crop}, wanted a fraction in (0, 1].")
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(
                f"preprocess mean and std: got {len(self.mean)} and {len(self.std)} numbers, wanted one each a channel."
            )
        if min(self.std) <= 0:
            raise ValueError(f"preprocess std: got {self.std}, wanted positive numbers.")

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        return len(self.mean)

    def normalize(self, images: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """Images of the right size with pixels in 0…1, brought to zero mean and unit deviation."""
        mean = torch.tensor(self.mean, dtype=images.dtype, device=images.device)
        std = torch.tensor(self.std, dtype=images.dtype, device=images.device)
        return (images - mean[:, None, None]) / std[:, None, None]
