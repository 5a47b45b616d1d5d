import pytest
import torch

from lambdanets.preprocess import Preprocess


def test_normalize_takes_each_channel_by_its_own_statistics() -> None:
    preprocess = Preprocess(size=(4, 6), mean=(0.5, 0.25), std=(0.5, 0.25))
    images = torch.tensor([1.0, 0.5])[None, :, None, None].expand(3, 2, 4, 6)
    assert torch.equal(preprocess.normalize(images), torch.ones(3, 2, 4, 6))
    assert preprocess.channels == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": (0, 4)}, "size: got"),
        ({"crop": 0.0}, "crop: got"),
        ({"crop": float("nan")}, "crop: got"),
        ({"std": (1.0, 1.0)}, "one each a channel"),
        ({"mean": (), "std": ()}, "one each a channel"),
        ({"std": (0.0,)}, "positive"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_no_image_could_go_through_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocess(**{"size": (4, 4), "mean": (0.0,), "std": (1.0,)} | fields)
