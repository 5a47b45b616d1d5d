"""The options of `create_detector`, as a frozen value."""

from dataclasses import dataclass
from math import isfinite

from lambdanets.models.spec import check_number

LEVELS = (2, 3, 4, 5, 6)
"""Pyramid levels there can be; level l has stride 2**l."""


@dataclass(frozen=True, kw_only=True)
class DetectorOptions:
    """What `create_detector` takes beside the backbone and the number of classes; defaults are the paper's, or
    torchvision's where the paper says nothing.

    Raises ValueError for values that no detector can have.
    """  # noqa: D205 - one sentence

    min_size: int = 1024
    """The shorter side of an image in pixels before the network, unless the longer one would exceed max_size."""
    max_size: int = 1024
    """The longer side at most. With min_size = max_size it is the longer side of every image."""
    scale_training: bool = True
    """False: images are trained on at the size that they come in, as after a scale jitter."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """What is subtracted from the images, whose values are 0 … 1, a channel."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """What they are then divided by."""
    frozen_stages: int = 0
    """How many parts of the backbone stay as they are, norms included: 1 is the stem alone, 5 the stem and c2 … c5."""
    frozen_norms: bool = False
    """True: the backbone's norms keep their statistics, scales and shifts."""
    checkpointing: bool = False
    """True: training keeps only each bottleneck's input and computes the rest again in the backward pass."""
    levels: tuple[int, ...] = LEVELS
    """Pyramid levels in order, without gaps; level l has stride 2**l, and 6 is level 5 at every other position."""
    pyramid_dim: int = 256
    """Channels of the pyramid."""
    norms: bool = True
    """Whether convolutions of the pyramid and of both heads have BatchNorms."""
    anchor_sizes: tuple[float, ...] = (32, 64, 128, 256, 512)
    """Side in pixels of the square anchors, one a level."""
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height over width of the anchors at each position."""
    anchors_sampled: int = 256
    """Anchors an image that the proposals' loss looks at."""
    proposals_training: tuple[int, int] = (2000, 2000)
    """Proposals kept in training: a level before non-maximum suppression, an image after it."""
    proposals: tuple[int, int] = (1000, 1000)
    """The same in prediction."""
    boxes_sampled: int = 512
    """Proposals an image that the box head's loss looks at, a quarter of them objects at most."""
    box_dims: tuple[int, ...] = (256, 256, 256, 256)
    """Channels of the box head's convolutions, on 7 × 7 positions."""
    box_hidden: int = 1024
    """Width of its fully connected layer."""
    mask_dims: tuple[int, ...] = (256, 256, 256, 256)
    """Channels of the mask head's convolutions, on 14 × 14 positions; masks are twice as fine."""
    canonical_size: int = 224
    """Side in pixels of the objects that are looked up on level 4; on level 3 from half of it on, and so on."""
    score_threshold: float = 0.05
    """Detections below this score are dropped."""
    detections: int = 100
    """Detections an image at most."""

    def __post_init__(self) -> None:
        for name in ("min_size", "max_size", "pyramid_dim", "anchors_sampled", "boxes_sampled", "box_hidden"):
            check_number(name, getattr(self, name), 1)
        check_number("detections", self.detections, 1)
        check_number("canonical_size", self.canonical_size, 1)
        check_number("frozen_stages", self.frozen_stages, 0, 5)
        for name, length in LENGTHS.items():
            check_numbers(name, getattr(self, name), length, is_positive=name != "mean")
        if self.min_size > self.max_size:
            raise ValueError(
                f"min_size is {self.min_size}, above max_size, which is {self.max_size}; raise that, or lower min_size."
            )
        if tuple(self.levels) not in [LEVELS[i:j] for i in range(4) for j in range(i + 1, 6)]:
            raise ValueError(f"levels are {self.levels}; wanted some of {LEVELS} in order, without gaps, not 6 alone.")
        if len(self.anchor_sizes) != len(self.levels):
            raise ValueError(
                f"got {len(self.anchor_sizes)} anchor_sizes for {len(self.levels)} levels; give one size a level."
            )
        if not 0 <= self.score_threshold < 1:
            raise ValueError(f"score_threshold is {self.score_threshold}; wanted a number in [0, 1).")


LENGTHS = {"mean": 3, "std": 3, "proposals": 2, "proposals_training": 2} | dict.fromkeys(
    ("anchor_sizes", "anchor_ratios", "box_dims", "mask_dims")
)
"""Options that are several numbers, and how many; None: one or more."""


def check_numbers(name: str, numbers: object, length: int | None, *, is_positive: bool) -> None:
    """Raise ValueError unless there are so many (None: one or more), each finite and, where it has to be, above 0."""
    count = "one number or more" if length is None else f"{length} numbers"
    if not isinstance(numbers, tuple | list) or not numbers or len(numbers) != (length or len(numbers)):
        raise ValueError(f"{name} is {numbers!r}; wanted {count}, such as ({', '.join(['1'] * (length or 1))},).")
    if not all(isinstance(x, int | float) and isfinite(x) and (x > 0 or not is_positive) for x in numbers):
        raise ValueError(f"{name} is {numbers!r}; wanted {count}, each finite{' and above 0' * is_positive}.")
