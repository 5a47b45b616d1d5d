"""What chance does to a picture is a function of its place in the run; what is judged is not left to chance."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from lambdanets.data.augment import Variation, drawing_from, enough_pixels, unvaried, varied
from lambdanets.preprocess import Preprocess

PREPROCESS = Preprocess(size=(32, 32), crop=0.875, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
STILL = Variation(min_area=1.0, flip=0.0)
STRONG = Variation(layers=2, magnitude=15)


def photo(width: int = 60, height: int = 48) -> Image.Image:
    """Red grows to the right, green downwards, blue in stripes."""
    y, x = np.mgrid[:height, :width]
    channels = [x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x // 5 % 2) * 255]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def draw(variation: Variation, seed: int = 0, epoch: int = 0, index: int = 0) -> torch.Tensor:
    return varied(photo(), PREPROCESS, variation, seed=seed, epoch=epoch, index=index)


def states() -> tuple[object, list[int], list[int]]:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]


@pytest.mark.parametrize("variation", [Variation(), STRONG], ids=["crop-and-flip", "randaugment"])
def test_chance_depends_on_seed_epoch_and_index_only(variation: Variation) -> None:
    first = draw(variation, 1, 2, 3)
    torch.rand(5), random.random(), np.random.rand(7)
    draw(variation, 5, 5, 5)
    assert torch.equal(draw(variation, 1, 2, 3), first)
    others = [draw(variation, *place) for place in ((0, 2, 3), (1, 0, 3), (1, 2, 0))]
    assert not any(torch.equal(other, first) for other in others)


@pytest.mark.parametrize("variation", [Variation(), STRONG], ids=["crop-and-flip", "randaugment"])
def test_nobody_else_s_chance_is_touched(variation: Variation) -> None:
    before = states()
    draw(variation)
    assert states() == before


def test_states_are_put_back_after_an_error() -> None:
    before = states()
    with pytest.raises(RuntimeError), drawing_from(3):
        torch.rand(3).reshape(2)
    assert states() == before


def test_what_is_drawn_is_8_bit_network_input() -> None:
    pixels = draw(STRONG)
    assert (pixels.shape, pixels.dtype) == ((3, 32, 32), torch.uint8)
    grey = varied(photo(), Preprocess(size=(9, 7), mean=(0.2,), std=(0.3,)), STRONG, seed=0, epoch=0, index=0)
    assert grey.shape == (1, 9, 7)


def test_half_of_the_pictures_are_mirrored() -> None:
    mirrored = [
        bool(pixels[0, 16, 0] > pixels[0, 16, -1]) for pixels in (draw(Variation(), epoch=e) for e in range(200))
    ]
    assert 70 <= sum(mirrored) <= 130  # 4 standard deviations
    assert not any(
        bool(pixels[0, 16, 0] > pixels[0, 16, -1]) for pixels in (draw(Variation(flip=0), epoch=e) for e in range(50))
    )


def test_crops_keep_the_share_they_may() -> None:
    """Red runs over the width and green over the height, so their ranges tell the area that is kept."""
    for area, low, high in ((0.08, 0.05, 1.01), (0.6, 0.55, 1.01)):
        kept = []
        for epoch in range(60):
            pixels = draw(Variation(min_area=area, flip=0), epoch=epoch).float()
            spans = [float(pixels[channel].max() - pixels[channel].min()) / 255 for channel in (0, 1)]
            kept.append(spans[0] * spans[1])
        assert low <= min(kept) < area + 0.15
        assert max(kept) <= high


def test_magnitudes_above_ten_are_stronger() -> None:
    """By itself timm takes 15 for 10, and changes only every other picture."""

    def change(magnitude: int) -> list[float]:
        """Of each of some pictures, on average over its pixels."""
        moved = replace(STILL, min_area=0.999, layers=1, magnitude=magnitude)
        return [
            float((draw(moved, epoch=e).float() - draw(replace(moved, layers=0), epoch=e).float()).abs().mean())
            for e in range(60)
        ]

    ten, fifteen = change(10), change(15)
    assert sum(fifteen) > 1.05 * sum(ten)
    assert sum(value == 0 for value in fifteen) < 15  # an unchanged picture is rare: e.g. a posterise that keeps all


def test_judged_pictures_are_resized_by_the_shorter_side_and_cut_in_the_middle() -> None:
    pixels = unvaried(photo(640, 320), PREPROCESS).float()
    assert pixels.shape == (3, 32, 32)
    assert pixels[0].mean() == pytest.approx(127.5, abs=2)
    span = float(pixels[0].max() - pixels[0].min()) / 255
    assert span == pytest.approx(0.875 / 2, abs=0.03)
    assert torch.equal(pixels, unvaried(photo(640, 320), PREPROCESS).float())


def test_a_picture_of_the_right_size_is_not_changed() -> None:
    picture = photo(32, 32)
    exact = unvaried(picture, replace(PREPROCESS, crop=1.0))
    assert np.array_equal(exact.permute(1, 2, 0).numpy(), np.array(picture))


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1), (3, 5)], ids=str)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_odd_sizes_go_through(size: tuple[int, int], mode: str) -> None:
    picture = Image.new(mode, size, 77 if mode == "L" else (77, 77, 77))
    assert (unvaried(picture, PREPROCESS) == 77).all()
    assert (varied(picture, PREPROCESS, Variation(), seed=0, epoch=0, index=0) == 77).all()


def test_the_middle_of_a_long_picture_is_what_is_seen() -> None:
    long = photo(3200, 100)
    short = long.crop((1400, 0, 1800, 100))
    assert torch.equal(unvaried(long, PREPROCESS), unvaried(short, PREPROCESS))


def test_reducing_a_large_picture_first_is_hardly_seen() -> None:
    large = photo(1800, 1400).resize((1800, 1400))
    factor = max(large.size) // enough_pixels(PREPROCESS)
    assert factor >= 2
    difference = unvaried(large, PREPROCESS).float() - unvaried(large.reduce(factor), PREPROCESS).float()
    assert difference[:2].abs().mean() < 1  # rounding
    assert difference[2].abs().mean() < 4  # stripes as fine as pixels


def test_other_sizes_show_the_same_part() -> None:
    small, large = (unvaried(photo(400, 300), replace(PREPROCESS, size=(side, side))).float() for side in (32, 96))
    shrunk = torch.nn.functional.avg_pool2d(large, 3)
    assert (small - shrunk)[:2].abs().mean() < 3
