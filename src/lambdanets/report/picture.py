"""Arrays as pictures in a page: colours, and PNG as text that a page carries in itself.

Letters: c channels, y rows and x columns of pixels.
"""

import base64
from io import BytesIO

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from lambdanets.preprocess import Preprocess

NEGATIVE, POSITIVE = (0, 90, 156), (188, 80, 0)
"""Blue and orange: told apart with any kind of colour vision. In grey they hardly differ: there a hatch has to tell."""
SIDE = 240
"""Pixels along a map of weights, about."""
PITCH = 12
"""Pixels from one white stripe of the hatch to the next."""


def as_seen(images: Float[Tensor, "b c y x"], preprocess: Preprocess) -> Float[Tensor, "b c y x"]:
    """Network inputs back as pixels in 0…1."""
    mean, std = (images.new_tensor(numbers)[:, None, None] for numbers in (preprocess.mean, preprocess.std))
    return (images * std + mean).clamp(0, 1)


def on_white(image: Float[Tensor, "c y x"]) -> Image.Image:
    """Pixels in 0…1 as a picture; grey ones, bright ink on dark, become dark ink on white as on paper."""
    levels = (image * 255).round().byte().numpy()
    return Image.fromarray(255 - levels[0] if len(levels) == 1 else np.ascontiguousarray(levels.transpose(1, 2, 0)))


def as_picture(image: Float[Tensor, "c y x"], *, is_ink: bool) -> Image.Image:
    """Pixels in 0…1 as they are looked at: ink as on paper, anything else as it is."""
    picture = on_white(image)
    return picture if is_ink or len(image) > 1 else ImageOps.invert(picture)


def thumbnail_uri(picture: Image.Image, side: int) -> str:
    """The picture, made smaller if a side is longer than `side`, as the address of an <img>; as JPEG if it was."""
    if max(picture.size) <= side:
        return data_uri(picture)
    small = picture.copy()
    small.thumbnail((side, side))
    return data_uri(small, "JPEG")


def signed(weights: NDArray[np.floating], largest: float) -> Image.Image:
    """Weights as colours: white for 0, full orange for largest, full blue, hatched, for −largest."""
    over = Image.fromarray(by_sign(weights, np.abs(weights / max(largest, 1e-12)).clip(0, 1), cell_of(weights.shape)))
    return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")


def cell_of(size: tuple[int, ...]) -> int:
    """Pixels along a position of a map, with which it is about SIDE pixels large."""
    return max(1, SIDE // max(size))


def by_sign(weights: NDArray[np.floating], strength: NDArray[np.floating], cell: int) -> NDArray[np.uint8]:
    """(y, x, 4) to lay over a picture: a weight is `cell` pixels a side, orange or blue by sign, `strength` opaque.

    Negative ones are hatched in white, so that signs outlast a grey printer. The hatch runs on from weight to weight
    at its own pitch: where weights are smaller than it, it still tells the sign of a region.
    """
    weights, strength = (one.repeat(cell, 0).repeat(cell, 1) for one in (weights, strength))
    is_stripe = np.add.outer(*map(np.arange, weights.shape)) % PITCH < 0.4 * PITCH
    colours = np.where(weights[..., None] < 0, np.where(is_stripe[..., None], 255, NEGATIVE), POSITIVE)
    return np.concatenate([colours, 255 * strength[..., None]], -1).round().astype(np.uint8)


def data_uri(picture: Image.Image, kind: str = "PNG") -> str:
    """The picture as the address of an <img>, the file itself inside."""
    buffer = BytesIO()
    picture.save(buffer, kind, optimize=True, quality=82)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
