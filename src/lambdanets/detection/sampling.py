"""Which anchors and proposals a detector learns from: a balanced choice whose chance belongs to the picture.

torchvision draws from one stream of random numbers, so that what is chosen in a picture depends on the pictures before
it: several processes would not learn what one learns, nor a resumed run what an undisturbed one does.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

from lambdanets.data.counter import Purpose, random_seed

NOTHING = -1
"""The chance of a picture from which nothing is to be learned."""


class ChanceSampler(BalancedPositiveNegativeSampler):
    """Chooses up to `batch_size_per_image` candidates of each picture, of which so many positive as the fraction says.

    Args:
        batch_size_per_image: candidates chosen of a picture, at most.
        positive_fraction: share of them that may be positive, 0…1.
        number: tells the samplers of a network apart, which are given the same chances.
    """

    def __init__(self, batch_size_per_image: int, positive_fraction: float, number: int) -> None:
        super().__init__(batch_size_per_image, positive_fraction)
        self.number = number
        self.chances: Sequence[int] = ()
        """Of each picture of the batch: a whole number that decides, or NOTHING. Empty: torch's own random numbers."""
        self.num_sampled, self.num_positive = 0, 0
        """How many were chosen in the last batch, and how many of them are positive: what its losses are means over."""

    def __call__(self, matched_idxs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """(positive, negative) marks of the chosen candidates, as matched_idxs: 1 and above positive, 0 negative."""
        chances = self.chances or [None] * len(matched_idxs)
        chosen = [self._choose(marks, chance) for marks, chance in zip(matched_idxs, chances, strict=True)]
        self.num_positive = sum(len(positive) for positive, _ in chosen)
        self.num_sampled = self.num_positive + sum(len(negative) for _, negative in chosen)
        positive = [_marks(places, marks) for (places, _), marks in zip(chosen, matched_idxs, strict=True)]
        negative = [_marks(places, marks) for (_, places), marks in zip(chosen, matched_idxs, strict=True)]
        return positive, negative

    def _choose(self, matched: Tensor, chance: int | None) -> tuple[Tensor, Tensor]:
        """The places of the chosen candidates of one picture, positive and negative."""
        generator = None
        if chance is not None:
            seed = random_seed(Purpose.PROPOSALS, max(chance, 0), self.number)
            generator = torch.Generator(matched.device).manual_seed(seed)
        size = 0 if chance == NOTHING else self.batch_size_per_image
        positive = _some(torch.where(matched >= 1)[0], int(size * self.positive_fraction), generator)
        negative = _some(torch.where(matched == 0)[0], size - len(positive), generator)
        return positive, negative


def _some(candidates: Tensor, most: int, generator: torch.Generator | None) -> Tensor:
    return candidates[torch.randperm(len(candidates), generator=generator, device=candidates.device)[:most]]


def _marks(places: Tensor, like: Tensor) -> Tensor:
    marks = torch.zeros_like(like, dtype=torch.uint8)
    marks[places] = 1
    return marks
