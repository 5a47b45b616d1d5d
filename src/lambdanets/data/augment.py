"""From a picture to what a network is given: varied by chance for training, always the same for judging.

The variations are torchvision's and timm's. They draw from the random states of torch, Python and NumPy, which the
whole process shares; here each picture's draws begin at a seed of its own, and the states are put back behind it. So
what comes out is a pure function of (seed, epoch, index), in any process, and nobody else's numbers change.

Letters: c channels, y rows and x columns of pixels.
"""

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from lambdanets.data.counter import Purpose, random_seed
from lambdanets.preprocess import Preprocess

ASPECTS = (3 / 4, 4 / 3)
"""Least and greatest width / height of a random crop."""
_LONG = 16
"""A picture whose sides differ by more is cut before it is resized."""
_GAP = 4
"""A picture may be reduced to so many times the size that it is resized to; from 3 on it is hardly to be seen."""


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How a training picture is varied by chance."""

    min_area: float = 0.08
    """Least share of the picture that a random crop keeps, in (0, 1]."""
    flip: float = 0.5
    """Probability of a picture being mirrored, left for right, 0…1."""
    layers: int = 0
    """RandAugment: how many random changes, 0 or more."""
    magnitude: int = 10
    """RandAugment: how strong, 0…30, on the scale of the paper's TensorFlow code."""


def varied(
    picture: Image.Image, preprocess: Preprocess, variation: Variation, *, seed: int, epoch: int, index: int
) -> UInt8[Tensor, "c y x"]:
    """A random crop of the picture at the network's size, perhaps mirrored, then changed by RandAugment.

    `preprocess` gives size, interpolation and channels; its crop is for pictures to be judged.
    """
    with drawing_from(random_seed(Purpose.AUGMENT, seed, epoch, index)):
        return _pixels(_variations(preprocess, variation)(picture.convert("RGB")), preprocess)


def unvaried(picture: Image.Image, preprocess: Preprocess) -> UInt8[Tensor, "c y x"]:
    """The middle of the picture: its shorter side resized to the network's size / crop, then a centre crop."""
    from torchvision.transforms import v2  # slow to import

    rows, columns = preprocess.size
    large = [math.floor(side / preprocess.crop) for side in (rows, columns)]
    picture = _without_far_ends(picture).convert("RGB")
    scale = max(large[0] / picture.height, large[1] / picture.width)
    size = [max(large[0], round(picture.height * scale)), max(large[1], round(picture.width * scale))]
    steps = v2.Compose([v2.Resize(size, interpolation=_mode(preprocess)), v2.CenterCrop([rows, columns])])
    return _pixels(steps(picture), preprocess)


def enough_pixels(preprocess: Preprocess) -> int:
    """Pixels on the longer side of a picture that are as good as more, to `varied` and `unvaried`."""
    return _GAP * math.ceil(max(preprocess.size) / preprocess.crop)


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Within, Python, NumPy and torch (on the CPU) draw what the seed tells them; behind it, as if nothing had been."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs too
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@lru_cache(maxsize=8)
def _variations(preprocess: Preprocess, variation: Variation) -> Callable[[Image.Image], Image.Image]:
    from torchvision.transforms import v2  # slow to import

    crop = v2.RandomResizedCrop(
        list(preprocess.size),
        scale=(variation.min_area, 1.0),
        ratio=ASPECTS,
        interpolation=_mode(preprocess),
    )
    steps: list[Any] = [crop, v2.RandomHorizontalFlip(variation.flip)]
    if variation.layers:
        steps.append(_rand_augment(preprocess, variation))
    return v2.Compose(steps) if len(steps) > 1 else crop


def _rand_augment(preprocess: Preprocess, variation: Variation) -> Callable[[Image.Image], Image.Image]:
    """RandAugment by timm, as the paper's code has it.

    Its scale is TensorFlow's, 10 = a turn by 30°. But timm by itself leaves out each change with probability 0.5 and
    takes any magnitude above 10 for 10: "p1" and "mmax" stop both. TensorFlow's list has Cutout too, timm's has not.
    """
    from timm.data.auto_augment import rand_augment_transform  # slow to import

    words = f"rand-m{variation.magnitude}-mmax{max(variation.magnitude, 1)}-n{variation.layers}-p1"
    mode = Image.Resampling.BICUBIC if preprocess.interpolation == "bicubic" else Image.Resampling.BILINEAR
    return rand_augment_transform(words, {"img_mean": (128, 128, 128), "interpolation": mode})


def _without_far_ends(picture: Image.Image) -> Image.Image:
    """The middle of a picture that is very long: what is cut off is not seen, and would be huge once resized."""
    longest = _LONG * min(picture.size)
    width, height = min(picture.width, longest), min(picture.height, longest)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height)) if (width, height) != picture.size else picture


def _mode(preprocess: Preprocess) -> Any:
    from torchvision.transforms import InterpolationMode  # slow to import

    return InterpolationMode(preprocess.interpolation)


def _pixels(picture: Image.Image, preprocess: Preprocess) -> UInt8[Tensor, "c y x"]:
    if preprocess.channels == 1:
        return torch.from_numpy(np.array(picture.convert("L")))[None]
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
