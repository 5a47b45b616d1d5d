"""One picture of a data set looked at closely: whether it can be read, and what is odd about it."""

import hashlib
import warnings
from io import BytesIO
from typing import NamedTuple

from PIL import ExifTags, Image

from lambdanets.data.finding import Finding
from lambdanets.data.images import FORMATS, ImageError, decode_image
from lambdanets.data.source import Source

ENOUGH = 512
"""Pixels on the longer side to which a larger picture is reduced while it is read: memory stays small."""
SMALL = 8
"""A side with fewer pixels shows nothing that could be learned."""
LONG = 10.0
"""A picture longer than this many times its width is mostly cut away, or squeezed, on its way to a network."""
_REMEDIES = (
    ": save or fetch it again",
    ": fetch its shard again",
    ": give an image file",
    ": make it smaller",
    "; make it smaller, or cut out a part",
)
"""How the sentences of an `ImageError` end that say what to do."""
_TURNED = (5, 6, 7, 8)
"""Values of EXIF's orientation that change rows for columns."""
_ENDINGS = {"JPEG": ("jpg", "jpeg"), "PPM": ("pbm", "pgm", "ppm"), "TIFF": ("tif", "tiff")}


class Look(NamedTuple):
    """What was seen of a picture."""

    error: str = ""
    """Why it cannot be read, to be read behind its name; all else is then empty."""
    digest: bytes = bytes(16)
    """Half of its file's SHA-256: the same for the same file."""
    mode: str = ""
    """Pillow's word for the kind of its pixels, as stored."""
    width: int = 0
    height: int = 0
    kind: str = ""
    """The format of its file."""
    moves: bool = False
    """Whether it has more than one frame."""
    flat: bool = False
    """Whether all of it is of one colour."""
    turned: bool = False
    """Whether its upright form has rows where it has columns."""


def look_at(source: Source, index: int) -> Look:
    """Read and decode a picture, as training does. Whatever its file holds, the answer is a `Look`."""
    name = source.name(index)
    try:
        content = source.read(index)
        picture = decode_image(content, name, enough=ENOUGH)
        mode, (width, height), kind, moves, turned = _header(content)
    except ImageError as error:
        return Look(error=str(error).removeprefix(f"{name} ").removesuffix("."))
    except OSError as error:
        return Look(error=f"cannot be read ({error.strerror or error})")
    flat = all(low == high for low, high in (band.getextrema() for band in picture.split()))
    return Look("", hashlib.sha256(content).digest()[:16], mode, width, height, kind, moves, flat, turned)


def judge_look(name: str, look: Look) -> list[Finding]:
    """What to say of this picture by itself."""
    if look.error:
        told = next((remedy for remedy in _REMEDIES if look.error.endswith(remedy)), "")
        what, fix = look.error.removesuffix(told), f"{told[2:] or 'fetch it again'}, or remove it"
        return [Finding(kind="broken", where=name, what=what, fix=fix, broad=False)]
    odd: list[tuple[str, str, str]] = []
    short, long = sorted((look.width, look.height))
    if short < SMALL or long > LONG * short:
        odd.append(("extreme-shape", f"has {look.width} × {look.height} pixels", "see whether it shows what it should"))
    if look.flat:
        odd.append(("flat", "is of one colour all over", "see whether it is a picture at all"))
    if look.moves:
        odd.append(("moving", "has more than one frame", "the first is used; keep another one if that is meant"))
    ending = name.rpartition(".")[2].lower()
    if ending.isalnum() and "." in name and ending not in _ENDINGS.get(look.kind, (look.kind.lower(),)):
        odd.append(("wrong-ending", f"is a {look.kind} file", "it is read as one; rename it to be sure"))
    return [Finding(kind=kind, where=name, what=what, fix=fix, note=True, broad=False) for kind, what, fix in odd]


def _header(content: bytes) -> tuple[str, tuple[int, int], str, bool, bool]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(BytesIO(content), formats=FORMATS) as file:
            turned = file.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED
            return file.mode, file.size, file.format or "", bool(getattr(file, "is_animated", False)), turned
