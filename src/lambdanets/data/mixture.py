"""One split made of two: pictures with true labels and pictures of a pool with pseudo-labels, in a stated mix.

Which sample stands where is a pure function of (seed, position in the run), as for any split. Every batch has the same
share of pseudo-labels, to within one picture, and each part has epochs of its own in which it gives every sample once.

Letters: b batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lambdanets.data.batch import LabelledBatch
from lambdanets.data.counter import Purpose, random_seed, random_words
from lambdanets.data.images import ImageError
from lambdanets.data.order import samples_at
from lambdanets.data.pseudo import LabelsError, PseudoConfig, PseudoLabels, Targets, read_labels
from lambdanets.printable import printable

CHECKED = 16
"""Pictures of a pool whose content is compared with what was labelled, before a training; the names of all are."""


class Part(Protocol):
    """A split with names for classes and samples, of which parts can be taken."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in order of labels."""
        ...

    @property
    def num_channels(self) -> int:
        """Channels of an image."""
        ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def name(self, index: int) -> str:
        """What a sample is called; no two of a split share a name."""
        ...

    def content_hash(self, index: int) -> str:
        """What tells a sample's content from another's; ImageError if it cannot be read."""
        ...

    def part(self, places: NDArray[np.int64]) -> Self:
        """A split of only the samples at these places."""
        ...

    def plain(self, indices: NDArray[np.int64]) -> LabelledBatch:
        """These images as they are."""
        ...

    def augmented(self, indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int) -> LabelledBatch:
        """These images, varied by a chance that is a pure function of (seed, epoch, index)."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """A split: first the samples with true labels, then those of the pool. Can be sent to worker processes."""

    labelled: Part
    pool: Part
    targets: Targets
    """What is said of each sample of the pool, in the class numbers of `labelled`."""
    share: float
    """Share of each batch that is from the pool, 0…1."""
    weight: float
    """How much a sample of the pool counts."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in order of labels."""
        return self.labelled.classes

    @property
    def num_classes(self) -> int:
        """Number of classes; labels are 0 … num_classes − 1."""
        return len(self.classes)

    @property
    def num_channels(self) -> int:
        """Channels of an image."""
        return self.labelled.num_channels

    def __len__(self) -> int:
        """Number of images of both parts."""
        return len(self.labelled) + len(self.pool)

    def name(self, index: int) -> str:
        """What a sample is called, for people."""
        of_pool = index - len(self.labelled)
        return self.labelled.name(index) if of_pool < 0 else self.pool.name(of_pool)

    def samples_at(self, start: int, count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(epochs, indices) of the batch that stands at positions start … start + count − 1 of a run.

        Up to position p, ⌊p · share⌋ samples are of the pool: the first so many of its own row of epochs. The batch is
        then shuffled, so that a process or a part of the step that takes some of it gets both kinds.
        """
        low, high = _of_pool(start, self.share), _of_pool(start + count, self.share)
        epochs, indices = samples_at(start - low, count - (high - low), len(self.labelled), seed)
        pool_epochs, pool_indices = samples_at(low, high - low, len(self.pool), _pool_seed(seed))
        mixed = np.argsort(random_words(Purpose.POOL, seed, start, np.arange(count)), kind="stable")
        together = np.concatenate([indices, pool_indices + len(self.labelled)])
        return np.concatenate([epochs, pool_epochs])[mixed], together[mixed]

    def plain(self, indices: NDArray[np.int64]) -> LabelledBatch:
        """These images as they are."""
        return self._batch(
            indices,
            lambda chosen: self.labelled.plain(indices[chosen]),
            lambda chosen: self.pool.plain(indices[chosen] - len(self.labelled)),
        )

    def augmented(self, indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int) -> LabelledBatch:
        """These images, each varied as its part varies them; the pool draws other numbers than the labelled part."""
        return self._batch(
            indices,
            lambda chosen: self.labelled.augmented(indices[chosen], epochs[chosen], seed),
            lambda chosen: self.pool.augmented(indices[chosen] - len(self.labelled), epochs[chosen], _pool_seed(seed)),
        )

    def _batch(
        self,
        indices: NDArray[np.int64],
        true: Callable[[NDArray[np.int64]], LabelledBatch],
        pseudo: Callable[[NDArray[np.int64]], LabelledBatch],
    ) -> LabelledBatch:
        """The two kinds, each made of its places in the batch, put back in order."""
        of_pool = indices >= len(self.labelled)
        ours, theirs = np.flatnonzero(~of_pool), np.flatnonzero(of_pool)
        kinds = []
        if len(ours):
            batch = true(ours)
            kinds.append(batch._replace(labels=self._as_targets(batch.labels)))
        if len(theirs):
            batch, labels = pseudo(theirs), self.targets.at(indices[theirs] - len(self.labelled))
            kinds.append(batch._replace(labels=labels, weights=batch.weights * self.weight))
        back = torch.from_numpy(np.argsort(np.concatenate([ours, theirs]), kind="stable"))
        images, labels, weights = (torch.cat(parts)[back] for parts in list(zip(*kinds, strict=True))[:3])
        return LabelledBatch(images, labels, weights, tuple(note for kind in kinds for note in kind.notes))

    def _as_targets(self, labels: Tensor) -> Tensor:
        """True labels in the form that the pool's have: a class is a one-hot row beside probabilities."""
        return F.one_hot(labels, self.num_classes).float() if self.targets.soft else labels


def with_pseudo_labels(labelled: Part, load_pool: Callable[[str], Part], config: PseudoConfig) -> Mixture:
    """The labelled samples together with those of a pool that a file gives pseudo-labels to.

    `load_pool` opens the pool at a path.

    Raises:
        LabelsError: the file cannot be used, or the pool is not the one that was labelled.
    """
    if not config.labels:
        raise LabelsError(
            "no pseudo-labels were named: make them with lambdanets pseudo-label, then --set data.pseudo.labels=FILE."
        )
    found = read_labels(Path(config.labels))
    pool = load_pool(config.pool or str(found.header["pool"]))
    pool = pool.part(_places(pool, found))
    _check_contents(pool, found)
    strangers = sorted(set(found.classes) - set(labelled.classes))
    if strangers:
        raise LabelsError(
            f"{printable(found.path)} has {len(strangers)} classes that the labelled data lacks, the first is "
            f"{printable(strangers[0])}: take a teacher of the same classes."
        )
    places = np.array([labelled.classes.index(name) for name in found.classes], dtype=np.int64)
    targets = found.targets.renamed(places, len(labelled.classes))
    return Mixture(labelled=labelled, pool=pool, targets=targets, share=config.share, weight=config.weight)


def _of_pool(position: int, share: float) -> int:
    """How many of the first so many samples of a run are of the pool, in whole numbers: no rounding adds up."""
    exact = Fraction(share).limit_denominator(1_000_000)
    return position * exact.numerator // exact.denominator


def _pool_seed(seed: int) -> int:
    """The pool's own seed: order and variations that do not repeat those of the labelled samples."""
    return random_seed(Purpose.POOL, seed)


def _places(pool: Part, found: PseudoLabels) -> NDArray[np.int64]:
    """Where in the pool each picture is that has a label."""
    place_of = {pool.name(place): place for place in range(len(pool))}
    missing = [name for name in found.names if name not in place_of]
    if missing:
        raise LabelsError(
            f"{printable(found.path)} labels {len(missing)} of {len(found.names)} pictures that are not in the pool, "
            f"the first is {printable(missing[0])}: say where they are with --set data.pseudo.pool=PATH."
        )
    return np.array([place_of[name] for name in found.names], dtype=np.int64)


def _check_contents(pool: Part, found: PseudoLabels) -> None:
    """LabelsError if one of a few pictures, spread over the pool, is another than the one that was labelled."""
    for place in np.unique(np.linspace(0, len(pool) - 1, CHECKED).astype(np.int64)).tolist():
        try:
            same = pool.content_hash(place) == found.hashes[place]
        except ImageError:
            continue  # told in its batch, like any picture that cannot be read
        if not same:
            raise LabelsError(
                f"{printable(pool.name(place))} is not the picture that {printable(found.path)} labels: its content "
                "has changed; label the pool again, or name the right one with --set data.pseudo.pool=PATH."
            )
