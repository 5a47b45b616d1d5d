"""Pictures of digits become scans like those of the data, whatever paper, pen, light and size they come with."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from lambdanets.data.digits import DigitsConfig, DigitsSplit, load_split
from lambdanets.data.scan import digit_inputs, has_ink, scan_digit

CONFIG = DigitsConfig()


@pytest.fixture(scope="module")
def split() -> DigitsSplit:
    return load_split([0], CONFIG)  # a training form


def as_picture(scan: torch.Tensor) -> Image.Image:
    return Image.fromarray((scan[0].numpy() * 255).round().astype(np.uint8))


def photographed(scan: torch.Tensor, *, side=160, margin=40, slope=0.0, noise=0.02, dark_on_light=True) -> Image.Image:
    """The scan enlarged, off the centre of a larger sheet, in uneven light."""
    enlarged = as_picture(scan).resize((side, side), Image.Resampling.BICUBIC)
    ink = np.pad(np.asarray(enlarged, dtype=float) / 255, ((margin, margin // 2), (2 * margin, margin)))
    grey = 0.9 - 0.75 * ink if dark_on_light else 0.05 + 0.8 * ink
    grey += np.random.default_rng(0).normal(0, noise, grey.shape) + slope * np.linspace(0, 1, grey.shape[1])
    return Image.fromarray((grey.clip(0, 1) * 255).astype(np.uint8))


def drawn(width: int, ink: int = 20, paper: int = 230) -> Image.Image:
    """A seven, drawn with a pen of this width, 200 pixels high."""
    sheet = Image.new("L", (400, 300), paper)
    ImageDraw.Draw(sheet).line([(130, 50), (260, 50), (180, 250)], fill=ink, width=width, joint="curve")
    return sheet


def test_a_scan_saved_as_an_image_is_itself_again(split: DigitsSplit) -> None:
    inputs = digit_inputs([as_picture(scan) for scan in split.images], CONFIG)
    truth = split.plain(np.arange(len(split))).images
    # Pixels are rounded to 1/255, and divided by a deviation of 0.3 after an interpolation that may overshoot.
    assert (inputs - truth).abs().max() < 2 * 0.5 / 255 / 0.3


@pytest.mark.parametrize(
    "seen",
    [
        {}, {"dark_on_light": False}, {"margin": 2}, {"margin": 200}, {"side": 24, "margin": 8}, {"side": 700},
        {"slope": -0.25}, {"slope": 0.2, "dark_on_light": False}, {"noise": 0.08},
    ],
    ids=lambda seen: ",".join(f"{name}={value}" for name, value in seen.items()) or "plain",
)  # fmt: skip
def test_a_photo_of_a_scan_gives_nearly_that_scan(seen: dict[str, float], split: DigitsSplit) -> None:
    scans = split.images[:20]
    again = torch.stack([scan_digit(photographed(scan, **seen)) for scan in scans])
    assert (again - scans).abs().mean() < 0.11  # another digit of the same class is 0.15 away
    nearest = torch.cdist(again.flatten(1), split.images.flatten(1)).argmin(1)
    assert torch.equal(split.labels[nearest], split.labels[:20])


@pytest.mark.parametrize("width", [3, 8, 20, 40])
def test_any_pen_gives_as_much_ink_as_the_data_has(width: int, split: DigitsSplit) -> None:
    share = scan_digit(drawn(width)).mean()
    least, most = split.images.mean((1, 2, 3)).aminmax()
    assert 0.8 * least < share < 1.2 * most


def test_the_ink_decides_not_the_sheet() -> None:
    sheet, small = drawn(20), drawn(20).crop((100, 20, 300, 280))
    assert (scan_digit(sheet) - scan_digit(small)).abs().mean() < 0.02


def test_dark_on_light_and_light_on_dark_are_the_same() -> None:
    negative = drawn(20, ink=235, paper=25)
    torch.testing.assert_close(scan_digit(negative), scan_digit(drawn(20)), atol=0.02, rtol=0)


def test_a_thin_stem_is_kept_whole() -> None:
    """The foot of a seven is one stroke wide, in a sheet many times as wide."""
    sheet = Image.new("L", (1200, 900), 230)
    ImageDraw.Draw(sheet).line([(400, 200), (700, 200), (550, 500), (550, 800)], fill=20, width=16, joint="curve")
    assert has_ink(scan_digit(sheet))
    bottom = scan_digit(sheet)[0, 6:]
    assert bottom.max() > 0.5
    assert (bottom > 0.2).sum() <= 6  # the stem, and nothing beside it


def test_a_speck_does_not_widen_the_cut() -> None:
    sheet = drawn(20)
    spotted = sheet.copy()
    ImageDraw.Draw(spotted).rectangle((5, 5, 7, 7), fill=20)
    torch.testing.assert_close(scan_digit(spotted), scan_digit(sheet), atol=0.02, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (8, 8), (2, 2), (40, 30)], ids=str)
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_an_empty_sheet_gives_an_empty_scan(size: tuple[int, int], shade: int) -> None:
    scan = scan_digit(Image.new("RGB", size, (shade,) * 3))
    assert scan.shape == (1, 8, 8)
    assert scan.isfinite().all()
    assert scan.std() == 0
    assert not has_ink(scan)


@pytest.mark.parametrize("size", [(2, 1), (3, 2), (9, 7), (1, 40), (600, 2)], ids=str)
def test_any_size_gives_a_scan(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size[::-1], dtype=np.uint8)
    scan = scan_digit(Image.fromarray(noise))
    assert scan.shape == (1, 8, 8)
    assert 0 <= scan.min() <= scan.max() <= 1
