"""Pictures with objects on their way to training: boxes around masks, and batches that travel between processes."""

import socket

import pytest
import torch

from lambdanets.data.detection_batch import DetectionBatch
from lambdanets.data.objects import no_objects, objects_of_masks, tight_boxes
from lambdanets.data.parcel import receive_parcel, send_parcel


def batch() -> DetectionBatch:
    masks = torch.zeros(2, 5, 7, dtype=torch.uint8)
    masks[0, 1:3, 2:6] = 1
    masks[1, 4, 0] = 1
    some = objects_of_masks(masks, torch.tensor([3, 1]))
    images = [torch.rand(3, 5, 7), torch.zeros(3, 2, 2)]
    targets = [some.as_target(12), no_objects(2, 2).as_target(13)]
    return DetectionBatch(images, targets, torch.tensor([1.0, 0.0]), ("the second is gone",))


def test_boxes_and_areas_are_those_of_the_masks() -> None:
    target = batch().targets[0]
    assert target["boxes"].tolist() == [[2, 1, 6, 3], [0, 4, 1, 5]]
    assert target["area"].tolist() == [8, 1]
    assert target["labels"].tolist() == [3, 1]
    assert target["iscrowd"].tolist() == [0, 0]


@pytest.mark.parametrize("size", [(0, 4, 4), (2, 0, 4), (2, 4, 0), (2, 4, 4)], ids=str)
def test_empty_masks_have_empty_boxes(size: tuple[int, int, int]) -> None:
    assert tight_boxes(torch.zeros(size, dtype=torch.uint8)).tolist() == [[0, 0, 0, 0]] * size[0]


def test_a_part_keeps_what_belongs_together() -> None:
    masks = torch.eye(3, dtype=torch.uint8)[:, None]
    some = objects_of_masks(masks, torch.tensor([4, 5, 6])).part(torch.tensor([True, False, True]))
    assert len(some) == 2
    assert some.labels.tolist() == [4, 6]
    assert some.boxes[:, 0].tolist() == [0, 2]


def test_a_batch_travels_in_a_parcel() -> None:
    here, there = socket.socketpair()
    with here, there:
        send_parcel(here, batch())
        received = receive_parcel(there)
    assert isinstance(received, DetectionBatch)
    assert received.notes == ("the second is gone",)
    for got, sent in zip(received.targets, batch().targets, strict=True):
        assert {name: (part.shape, part.dtype) for name, part in got.items()} == {
            name: (part.shape, part.dtype) for name, part in sent.items()
        }
        assert all(torch.equal(got[name], sent[name]) for name in sent)
    assert torch.equal(received.weights, torch.tensor([1.0, 0.0]))


def test_a_batch_goes_to_a_device() -> None:
    moved = batch().to("meta")
    parts = [*moved.images, *(part for target in moved.targets for part in target.values()), moved.weights]
    assert all(part.is_meta for part in parts)
    assert len(moved.notes) == 1
