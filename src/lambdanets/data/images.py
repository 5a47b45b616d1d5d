"""Reading image files that strangers made: whatever is in them comes out as 8-bit grey or RGB, or as one sentence.

Letters: c channels, y rows and x columns of pixels.
"""

import warnings
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from lambdanets.printable import printable

if TYPE_CHECKING:
    from torch import Tensor  # slow to import, and whoever only reads files does without

MAX_PIXELS = 64 * 10**6
"""A file of a few kilobytes can claim more pixels than the machine has memory for."""
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""What is tried. Others can be opened too, but some of them start other programs."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".pbm", ".pgm", ".ppm")
"""How the names of images end, in lower case; decides which files of a folder are meant."""


class ImageError(ValueError):
    """A file that gives no image, and why, in one line that can be shown, whatever the file is called."""

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))


_STRIP_PIXELS = 2**20
"""About how many pixels of a large picture are worked at once."""


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS, enough: int | None = None) -> Image.Image:
    """The first frame of an image file, upright, in mode L or RGB.

    Where the longer side has at least twice `enough` pixels, the picture is reduced by a whole factor while it is read,
    to `enough` or more, and needs little memory beyond that of its decoder. None: every picture keeps its size.

    16-bit and real-valued images are scaled to 8 bits, palettes and CMYK become RGB. What is transparent is filled with
    white or black, whichever stands out more from what is not.

    Raises:
        ImageError: there is no such file, it is not an image of a known format, it is damaged or larger than
            `max_pixels`. The message is one sentence that begins with the path.
    """
    _check_file(path)
    try:
        # By stream: Pillow 13.0 maps an uncompressed TIFF that it knows the path of, and then turns it wrongly.
        with path.open("rb") as stream:
            return _decoded(stream, str(path), max_pixels, enough)
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}).") from None


def decode_image(content: bytes, name: str, *, max_pixels: int = MAX_PIXELS, enough: int | None = None) -> Image.Image:
    """As `read_image`, from what is in an image file; `name` is what its sentences begin with."""
    if not content:
        raise ImageError(f"{name} is empty: save or fetch it again.")
    return _decoded(BytesIO(content), name, max_pixels, enough)


def find_images(paths: Iterable[Path]) -> list[Path]:
    """The given files, and in place of a folder the images directly in it, by name.

    Raises:
        ImageError: a folder without an image.
    """
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
        if not inside:
            raise ImageError(f"{path} holds no image: wanted files whose names end in {', '.join(SUFFIXES)}.")
        found += inside
    return found


def to_tensor(picture: Image.Image) -> "Float[Tensor, 'c y x']":
    """An image of mode L or RGB as numbers in 0…1."""
    import torch

    pixels = np.array(picture, dtype=np.float32) / 255
    return torch.from_numpy(pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise ImageError(f"{path} is a folder: give an image file.")
        if not path.exists():
            raise ImageError(f"{path}: there is no such file.")
        if not path.is_file():
            raise ImageError(f"{path} is not a regular file: give an image file.")
        if path.stat().st_size == 0:
            raise ImageError(f"{path} is empty: save or fetch it again.")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise ImageError(f"{path} cannot be read ({error.strerror}).") from None


def _decoded(stream: IO[bytes], name: str, max_pixels: int, enough: int | None) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata, and sizes that are judged below
        try:
            with Image.open(stream, formats=FORMATS) as file:
                _check_size(file, name, max_pixels)
                return _to_eight_bits(_upright(file, enough))
        except ImageError:
            raise
        except UnidentifiedImageError:
            raise ImageError(f"{name} is not an image: wanted {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.") from None
        except Image.DecompressionBombError:
            raise ImageError(_too_large(name, max_pixels)) from None
        except MemoryError:
            raise ImageError(f"{name} needs more memory than there is: make it smaller.") from None
        except Exception as error:  # decoders raise anything on damaged files
            reason = " ".join(str(error).split())
            raise ImageError(f"{name} is a damaged image ({reason}): save or fetch it again.") from None


def _check_size(file: Image.Image, name: str, max_pixels: int) -> None:
    if file.width * file.height > max_pixels:
        raise ImageError(_too_large(name, max_pixels, f": got {file.width} × {file.height}"))


def _too_large(name: str, max_pixels: int, got: str = "") -> str:
    return f"{name} has more than {max_pixels / 1e6:g} million pixels{got}; make it smaller, or cut out a part."


def _upright(file: Image.Image, enough: int | None) -> Image.Image:
    """The picture decoded, reduced if it is large, and turned as its metadata says."""
    if enough is not None:
        factor = max(1, max(file.size) // enough)
        file.draft(None, (max(1, file.width // factor), max(1, file.height // factor)))  # JPEG is decoded smaller
    file.load()
    turned = file.getexif().get(ExifTags.Base.Orientation, 1)  # what is made of the file does not have it
    factor = 1 if enough is None else max(file.size) // enough
    picture = _reduced(file, factor) if factor > 1 else file
    picture.getexif()[ExifTags.Base.Orientation] = turned
    return ImageOps.exif_transpose(picture)


def _reduced(picture: Image.Image, factor: int) -> Image.Image:
    """Each pixel the mean of factor × factor; made strip by strip, for a converted copy of the whole would be large."""
    rows = factor * max(1, _STRIP_PIXELS // (factor * picture.width))
    tops = range(0, picture.height, rows)
    boxes = ((0, top, picture.width, min(top + rows, picture.height)) for top in tops)
    strips = [_averageable(picture.crop(box)).reduce(factor) for box in boxes]
    whole = Image.new(strips[0].mode, (strips[0].width, sum(strip.height for strip in strips)))
    for top, strip in zip(tops, strips, strict=True):
        whole.paste(strip, (0, top // factor))
    return whole


def _averageable(picture: Image.Image) -> Image.Image:
    """In a mode whose values can be averaged: not the numbers of colours in a palette, nor bits."""
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode in ("P", "PA"):
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    return picture.convert("I") if picture.mode.startswith("I;") else picture


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Any mode as L or RGB."""
    if picture.mode in ("L", "RGB"):
        return picture
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        return _scaled(picture)
    if picture.has_transparency_data:
        return _filled(picture)
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _scaled(picture: Image.Image) -> Image.Image:
    """Whole numbers count as 16 bits; real ones as 0…1 where they fit, else from the least to the greatest."""
    values = np.nan_to_num(np.array(picture, dtype=np.float32), posinf=0, neginf=0)
    low, high = 0.0, 65535.0
    if picture.mode == "F":
        inside = values.min() >= 0 and values.max() <= 1
        low, high = (0.0, 1.0) if inside else (float(values.min()), float(values.max()))
    values -= low
    values *= 255 / max(high - low, 1e-12)
    return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))


def _filled(picture: Image.Image) -> Image.Image:
    """Laid on white, or on black where what can be seen is bright."""
    seen = picture.convert("RGBA")
    sample = seen.resize((min(seen.width, 256), min(seen.height, 256)), Image.Resampling.NEAREST)
    grey, alpha = np.array(sample.convert("RGB").convert("L"), dtype=np.float64), np.array(sample.getchannel("A"))
    bright = (grey * alpha).sum() > 127.5 * alpha.sum()
    below = Image.new("RGBA", seen.size, "black" if bright else "white")
    return Image.alpha_composite(below, seen).convert("RGB")
