"""The pictures of a split of a data set in COCO's form, and the batches made of them.

A picture that cannot be read keeps its place in the batch: its image is zeros, its weight 0, its target empty, and a
note says which and why. What is in it still counts as missed.

Letters: b batch, n objects, y rows and x columns of pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lambdanets.data.annotation_faults import FIXES
from lambdanets.data.coco_folder import CocoSource
from lambdanets.data.detection_batch import DetectionBatch
from lambdanets.data.doing import doing
from lambdanets.data.images import MAX_PIXELS, ImageError, decode_image, to_tensor
from lambdanets.data.jitter import Jitter, choose_window, objects_through, picture_through
from lambdanets.data.masks import decode_segmentation
from lambdanets.data.objects import Objects, no_objects

_UNREAD = 32
"""Side of the zeros that stand for a picture that could not be read and claims to be too large."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CocoSplit:
    """Some pictures of a split, and the batches made of them. Can be sent to worker processes."""

    source: CocoSource
    chosen: NDArray[np.int64]
    """Index in the source of each picture."""
    jitter: Jitter
    """How pictures are varied in training."""
    max_pixels: int = MAX_PIXELS
    num_channels: int = 3

    @property
    def classes(self) -> tuple[str, ...]:
        """Names: label k is classes[k − 1]."""
        return self.source.annotations.classes

    @property
    def category_ids(self) -> tuple[int, ...]:
        """What the labels 1, 2, … are called in the files."""
        return self.source.annotations.category_ids

    @property
    def num_classes(self) -> int:
        """Number of classes, the background not counted."""
        return len(self.classes)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.chosen)

    def name(self, index: int) -> str:
        """The path of a picture in the data set."""
        return self.source.name(int(self.chosen[index]))

    def image_id(self, index: int) -> int:
        """The number of a picture in the files."""
        return int(self.source.annotations.picture_ids[self.chosen[index]])

    def size(self, index: int) -> tuple[int, int]:
        """Rows and columns of a picture, as the files have them."""
        rows, columns = self.source.annotations.sizes[self.chosen[index]].tolist()
        return rows, columns

    def objects(self, index: int) -> Objects:
        """What is in a picture, crowds and all, in its own pixels; DataError if the file was changed."""
        annotations, place = self.source.annotations, int(self.chosen[index])
        entries, own = annotations.read(place), annotations.span(place)
        return _objects(entries, annotations.labels[own], annotations.crowd[own], self.size(index))

    def plain(self, indices: NDArray[np.int64]) -> DetectionBatch:
        """These pictures as they are, of their own sizes, with everything in them."""

        def seen(place: int, picture: Image.Image) -> tuple[Tensor, Objects]:
            """The picture as it is, and what is in it."""
            return to_tensor(picture.convert("RGB")), self.objects(int(indices[place]))

        return self._batch(indices, seen, lambda place: self.size(int(indices[place])))

    def augmented(self, indices: NDArray[np.int64], epochs: NDArray[np.int64], seed: int) -> DetectionBatch:
        """These pictures varied by a chance that is a pure function of (seed, epoch, index), on canvases of one size.

        Crowds are left out: they are no object to learn.
        """
        side = self.jitter.side

        def seen(place: int, picture: Image.Image) -> tuple[Tensor, Objects]:
            """What is left of both in the window."""
            index = int(indices[place])
            found = self.objects(index)
            window = choose_window(self.size(index), self.jitter, seed=seed, epoch=int(epochs[place]), index=index)
            image = picture_through(window, picture, self.jitter)
            return image, objects_through(window, found.part(~found.crowd), side)

        return self._batch(indices, seen, lambda place: (side, side))

    def truth(self) -> dict[str, Any]:
        """What is in the pictures, as the content of COCO's annotation file; what is bad is left out."""
        annotations: list[dict[str, Any]] = []
        for index in range(len(self)):
            image_id = self.image_id(index)
            for entry in self.source.annotations.read(int(self.chosen[index])):
                names = ("category_id", "bbox", "segmentation")
                kept = {name: entry[name] for name in names} | {"iscrowd": int(entry.get("iscrowd", 0))}
                area = entry.get("area", entry["bbox"][2] * entry["bbox"][3])
                annotations.append(kept | {"id": len(annotations) + 1, "image_id": image_id, "area": area})
        return {
            "info": {},
            "images": [self._picture_entry(index) for index in range(len(self))],
            "annotations": annotations,
            "categories": [
                {"id": number, "name": name} for number, name in zip(self.category_ids, self.classes, strict=True)
            ],
        }

    def part(self, places: NDArray[np.int64]) -> "CocoSplit":
        """A split of only the pictures at these places."""
        return CocoSplit(source=self.source, chosen=self.chosen[places], jitter=self.jitter, max_pixels=self.max_pixels)

    def _picture_entry(self, index: int) -> dict[str, Any]:
        rows, columns = self.size(index)
        name = self.source.annotations.names[int(self.chosen[index])]
        return {"id": self.image_id(index), "file_name": name, "width": columns, "height": rows}

    def _batch(
        self,
        indices: NDArray[np.int64],
        seen: Callable[[int, Image.Image], tuple[Tensor, Objects]],
        size: Callable[[int], tuple[int, int]],
    ) -> DetectionBatch:
        images, targets, notes = [], [], []
        weights = torch.ones(len(indices))
        for place, index in enumerate(indices.tolist()):
            try:
                image, found = seen(place, self._read(index))
            except ImageError as error:
                weights[place] = 0
                notes.append(str(error))
                rows, columns = size(place)
                if rows * columns > self.max_pixels:
                    rows = columns = _UNREAD
                image, found = torch.zeros(3, rows, columns), no_objects(rows, columns)
            images.append(image)
            targets.append(found.as_target(self.image_id(index)))
        return DetectionBatch(images, targets, weights, tuple(notes))

    def _read(self, index: int) -> Image.Image:
        name, place = self.name(index), int(self.chosen[index])
        doing(name)
        try:
            content = self.source.read(place)
        except OSError as error:
            raise ImageError(f"{name} cannot be read ({error.strerror or error}).") from None
        picture = decode_image(content, name, max_pixels=self.max_pixels)
        if fault := self.source.size_fault(place, *picture.size):
            raise ImageError(f"{name} {fault.what}: {FIXES[fault.kind]}.")
        return picture


def _objects(
    entries: list[dict[str, Any]], labels: NDArray[np.int32], crowd: NDArray[np.bool_], size: tuple[int, int]
) -> Objects:
    """Boxes cut off at the picture's edge; objects of which then, or of whose outline, nothing is left are left out."""
    if not entries:
        return no_objects(*size)
    rows, columns = size
    corners = torch.tensor([entry["bbox"] for entry in entries], dtype=torch.float64)
    corners[:, 2:] += corners[:, :2]
    boxes = corners.clamp(min=0).minimum(torch.tensor([columns, rows, columns, rows])).float()
    masks = np.stack([decode_segmentation(entry["segmentation"], rows, columns) for entry in entries])
    areas = [entry.get("area", entry["bbox"][2] * entry["bbox"][3]) for entry in entries]
    found = Objects(
        boxes,
        torch.from_numpy(labels.astype(np.int64)),
        torch.from_numpy(masks),
        torch.from_numpy(crowd),
        torch.tensor(areas, dtype=torch.float32),
    )
    return found.part((boxes[:, 2:] > boxes[:, :2]).all(1) & torch.from_numpy(masks.any((1, 2))))
