"""What plain methods reach on the same split, from the same pixels: is the network's number a good one?"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ImagesInMemory(Protocol):
    """A split small enough to be in memory as it was scanned."""

    @property
    def images(self) -> Tensor:
        """Pixels, (n, c, y, x)."""
        ...

    @property
    def labels(self) -> Tensor:
        """Classes, (n)."""
        ...


def nearest_neighbour(train: ImagesInMemory, judged: ImagesInMemory) -> int:
    """How many images have the class of the training image whose pixels are nearest, by Euclidean distance."""
    from sklearn.neighbors import KNeighborsClassifier  # slow to import, and only reports need it

    return _correct(KNeighborsClassifier(n_neighbors=1), train, judged)


def support_vectors(train: ImagesInMemory, judged: ImagesInMemory) -> int:
    """How many images a support vector machine gets right: radial kernel, scikit-learn's own settings."""
    from sklearn.svm import SVC  # slow to import, and only reports need it

    return _correct(SVC(), train, judged)


BASELINES: dict[str, Callable[[ImagesInMemory, ImagesInMemory], int]] = {
    "support vector machine": support_vectors,
    "nearest neighbour": nearest_neighbour,
}
"""Name → function of (training images, judged images) that counts the right ones."""


def _correct(classifier: Any, train: ImagesInMemory, judged: ImagesInMemory) -> int:
    classifier.fit(train.images.flatten(1).numpy(), train.labels.numpy())
    return int((classifier.predict(judged.images.flatten(1).numpy()) == judged.labels.numpy()).sum())
