"""The 1 797 real scanned digits that scikit-learn ships, split by form so that no hand is in training and test.

The samples are 14 forms of consecutive images, one writing hand each (forms 9 and 10 look alike and stay on one side).
A random split would leak hands. Training: forms 0–8 and 13, 1 287 images; test: forms 9–12, 510 images.
Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998, the part of 8 × 8 pixels.

Letters: b batch, y rows and x columns of pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from lambdanets.data.batch import LabelledBatch, whole_batch
from lambdanets.data.counter import Purpose, random_uniforms, random_words
from lambdanets.data.mixture import Mixture, with_pseudo_labels
from lambdanets.data.pseudo import PseudoConfig, content_hash
from lambdanets.data.ranges import refuse_outside
from lambdanets.preprocess import Preprocess

FORM_BOUNDARIES = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667, 1797)
TRAIN_FORMS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 13)
TEST_FORMS = (9, 10, 11, 12)
POOL = "digits"
"""Stands in for the path of a pool: the training images that are not labelled."""


@dataclass(frozen=True, kw_only=True)
class DigitsConfig:
    """How the digits are enlarged, varied and split."""

    image_size: int = 32
    """Side of the network's input, in pixels, at least 8."""
    padding: int = 1
    """Empty pixels set around the 8 × 8 image before it is enlarged, so that strokes at its edge are not cut; 0…8."""
    rotation: float = 10.0
    """Largest turn of a training image, in degrees to either side, 0…180."""
    scaling: float = 0.1
    """Largest change of size of a training image, as a fraction, 0…0.9."""
    shear: float = 10.0
    """Largest slant of a training image, in degrees to either side, 0…60."""
    translation: float = 0.08
    """Largest shift of a training image, as a fraction of its side, 0…1."""
    validation_forms: tuple[int, ...] = ()
    """Training forms held out to choose settings by. With any, the run is judged on them and never sees the test."""
    labelled: int | None = None
    """Training images whose labels may be seen, as many of each class, at least 10; the labels of the others, which are
    the pool of `lambdanets pseudo-label`, are not read. None: all of them."""
    labelled_seed: int = 0
    """Chooses which; 0 or above."""
    pseudo: PseudoConfig = field(default_factory=PseudoConfig)
    """Pseudo-labels of the pool, to be learned from too."""

    def __post_init__(self) -> None:
        """Refuse numbers outside the ranges above, and forms that are not training forms."""
        refuse_outside(self, "data", image_size=(8, 1024), padding=(0, 8), rotation=(0, 180), scaling=(0, 0.9))
        refuse_outside(self, "data", shear=(0, 60), translation=(0, 1))
        if self.labelled is not None and not 10 <= self.labelled <= FORM_BOUNDARIES[-1]:
            raise ValueError(f"data.labelled: got {self.labelled}, wanted 10 or more images, or none for all.")
        if not 0 <= self.labelled_seed < 2**63:
            raise ValueError(f"data.labelled_seed: got {self.labelled_seed}, wanted 0 or above, below 2^63.")
        strangers = sorted(set(self.validation_forms) - set(TRAIN_FORMS))
        if strangers or set(TRAIN_FORMS) <= set(self.validation_forms):
            raise ValueError(
                f"data.validation_forms: got {list(self.validation_forms)}, wanted some, not all, of {TRAIN_FORMS}."
            )

    @property
    def preprocess(self) -> Preprocess:
        """What every image goes through before the network; the statistics are those of the training forms."""
        return Preprocess(size=(self.image_size, self.image_size), mean=(0.2,), std=(0.3,))

    def load(self) -> "Digits":
        """The three splits, in memory."""
        labelled, _ = self._labelled_and_pool()
        return Digits(
            train=with_pseudo_labels(labelled, self.load_pool, self.pseudo) if self.pseudo.wanted else labelled,
            validation=load_split(self.validation_forms, self) if self.validation_forms else None,
            test=load_split(TEST_FORMS, self),
        )

    def load_pool(self, path: str = POOL) -> "DigitsSplit":
        """The training images that are not among the `labelled`; their labels are −1 = unknown.

        Raises:
            ValueError: another path is wanted, or all images are labelled.
        """
        _, pool = self._labelled_and_pool()
        if path != POOL:
            raise ValueError(f"got the pool {path}, wanted '{POOL}': what learns the digits labels the rest of them.")
        if not len(pool):
            raise ValueError("all digits have labels, so that none is left for a pool: set data.labelled=100, say.")
        return replace(pool, labels=torch.full_like(pool.labels, -1))

    def _labelled_and_pool(self) -> "tuple[DigitsSplit, DigitsSplit]":
        whole = load_split([form for form in TRAIN_FORMS if form not in self.validation_forms], self)
        chosen = balanced_choice(whole.labels.numpy(), self.labelled, self.labelled_seed)
        return whole.part(np.flatnonzero(chosen)), whole.part(np.flatnonzero(~chosen))


@dataclass(frozen=True)
class DigitsSplit:
    """Some forms of the digits: 8 × 8 images as scanned, and the enlarged and normalised batches made of them."""

    images: Float[Tensor, "n 1 8 8"]
    labels: Int[Tensor, " n"]
    config: DigitsConfig
    num_classes: int = 10
    num_channels: int = 1
    classes: tuple[str, ...] = tuple("0123456789")
    numbers: Int[Tensor, " n"] | None = None
    """Place of each image among all of scikit-learn's, for its name; None: its place in the split."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def name(self, index: int) -> str:
        """What an image is called."""
        return f"digit {index if self.numbers is None else int(self.numbers[index])}"

    def content_hash(self, index: int) -> str:
        """What tells an image from another."""
        return content_hash(self.images[index].numpy().tobytes())

    def part(self, places: NDArray[np.int64]) -> "DigitsSplit":
        """A split of only the images at these places."""
        numbers = torch.arange(len(self)) if self.numbers is None else self.numbers
        return replace(self, images=self.images[places], labels=self.labels[places], numbers=numbers[places])

    def plain(self, indices: NDArray[np.int64]) -> LabelledBatch:
        """The images (b, 1, y, x) of these indices as they are, and their labels."""
        still = torch.eye(2, 3).expand(len(indices), 2, 3)
        return whole_batch(self._render(indices, still), self.labels[indices])

    def augmented(self, indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int) -> LabelledBatch:
        """The images, each turned, slanted, scaled and shifted by chance, and their labels.

        The chance is a pure function of (seed, epoch, index): no state, the same on any worker.
        """
        affines = random_affines(indices, epochs, seed, self.config)
        return whole_batch(self._render(indices, affines), self.labels[indices])

    def _render(self, indices: NDArray[np.int64], affines: Float[Tensor, "b 2 3"]) -> Float[Tensor, "b 1 y x"]:
        """Enlarged and moved in one interpolation, so that a training image is no more blurred than a test image.

        In float64, and rounded afterwards: so the images are the same, bit for bit, whatever the CPU.
        """
        scanned = F.pad(self.images[indices].double(), [self.config.padding] * 4)
        side = self.config.image_size
        grid = F.affine_grid(affines.double(), [len(indices), 1, side, side], align_corners=False)
        enlarged = F.grid_sample(scanned, grid, mode="bicubic", align_corners=False).clamp(0, 1).float()
        return self.config.preprocess.normalize(enlarged)


@dataclass(frozen=True)
class Digits:
    """The digits, split. The validation split is None unless training forms were held out."""

    train: DigitsSplit | Mixture
    validation: DigitsSplit | None
    test: DigitsSplit


def load_split(forms: Sequence[int], config: DigitsConfig) -> DigitsSplit:
    """The images of these forms, pixels in 0…1, in the order in which scikit-learn stores them."""
    from sklearn.datasets import load_digits  # slow to import, and only this function needs it

    pixels, digits = load_digits(return_X_y=True)
    chosen = np.concatenate([np.arange(FORM_BOUNDARIES[form], FORM_BOUNDARIES[form + 1]) for form in forms])
    images = torch.tensor(pixels[chosen] / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    labels = torch.tensor(digits[chosen], dtype=torch.int64)
    return DigitsSplit(images, labels, config, numbers=torch.from_numpy(chosen))


def balanced_choice(labels: NDArray[np.int64], count: int | None, seed: int) -> NDArray[np.bool_]:
    """Which `count` of the samples are chosen, by chance and as many of each class; all for None.

    Where the count cannot be shared equally the first classes get one more.
    """
    if count is None:
        return np.ones(len(labels), dtype=bool)
    words = random_words(Purpose.LABELLED, seed, np.arange(len(labels)))
    ranks = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        ranks[of_class[np.argsort(words[of_class], kind="stable")]] = np.arange(len(of_class))
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[np.lexsort((labels, ranks))[:count]] = True  # the first of each class, then the second of each, …
    return chosen


def random_affines(
    indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int, config: DigitsConfig
) -> Float[Tensor, "b 2 3"]:
    """Maps from output to input coordinates (−1…1), uniform within the ranges of the config."""
    draws = random_uniforms(Purpose.AUGMENT, seed, epochs[:, None], indices[:, None], np.arange(6))
    chances = torch.from_numpy(draws * 2 - 1)
    turn = chances[:, 0] * math.radians(config.rotation)
    slant = (chances[:, 1] * math.radians(config.shear)).tan()
    scale_x, scale_y = (1 + chances[:, 2:4] * config.scaling).unbind(1)
    shift_x, shift_y = (chances[:, 4:6] * 2 * config.translation).unbind(1)  # the side is 2 long: −1…1
    cos, sin = turn.cos(), turn.sin()
    to_x = [cos / scale_x, (cos * slant - sin) / scale_y, shift_x]
    to_y = [sin / scale_x, (sin * slant + cos) / scale_y, shift_y]
    return torch.stack(to_x + to_y, dim=1).reshape(-1, 2, 3).float()
