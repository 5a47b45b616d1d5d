"""Every kind of image file that a stranger may bring, made here, and what comes out of it."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lambdanets.data import images
from lambdanets.data.images import MAX_PIXELS, ImageError, decode_image, find_images, read_image, to_tensor

STEPS = np.linspace(0, 255, 12, dtype=np.uint8)[None].repeat(9, 0)  # 9 rows, 12 columns, dark to bright
RGB = np.stack([STEPS, STEPS[:, ::-1], np.full_like(STEPS, 40)], axis=-1)


def png_of_size(width: int, height: int) -> bytes:
    """A file of a few bytes that claims any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        sealed = kind + content
        return struct.pack(">I", len(content)) + sealed + struct.pack(">I", zlib.crc32(sealed))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def with_alpha(ink: int, opaque: bool = False) -> Image.Image:
    """A disc of one grey on nothing."""
    y, x = np.mgrid[:9, :12]
    alpha = ((y - 4) ** 2 + (x - 6) ** 2 < 12) * 255
    pixels = np.stack([np.full_like(alpha, ink)] * 3 + [np.maximum(alpha, 255 * opaque)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


ZOO = {
    "grey.png": (Image.fromarray(STEPS), "L"),
    "bilevel.png": (Image.fromarray(STEPS).convert("1"), "L"),
    "sixteen-bit.png": (Image.fromarray(STEPS.astype(np.uint16) * 257), "L"),
    "sixteen-bit.tif": (Image.fromarray(STEPS.astype(np.uint16) * 257), "L"),
    "thirty-two-bit.tif": (Image.fromarray(STEPS.astype(np.int32) * 257), "L"),
    "real.tif": (Image.fromarray(STEPS.astype(np.float32) / 255), "L"),
    "real-wide.tif": (Image.fromarray(STEPS.astype(np.float32) * 7 - 300), "L"),
    "colour.png": (Image.fromarray(RGB), "RGB"),
    "colour.jpg": (Image.fromarray(RGB), "RGB"),
    "colour.bmp": (Image.fromarray(RGB), "RGB"),
    "colour.webp": (Image.fromarray(RGB), "RGB"),
    "grey.pgm": (Image.fromarray(STEPS), "L"),
    "palette.png": (Image.fromarray(RGB).quantize(16), "RGB"),
    "palette.gif": (Image.fromarray(RGB).quantize(16), "RGB"),
    "cmyk.jpg": (Image.fromarray(RGB).convert("CMYK"), "RGB"),
    "alpha.png": (with_alpha(20), "RGB"),
    "grey-alpha.png": (with_alpha(20).convert("LA"), "RGB"),
    "one-pixel.png": (Image.new("L", (1, 1), 7), "L"),
    "very-long.png": (Image.new("L", (20_000, 1), 7), "L"),
}


@pytest.mark.parametrize("name", ZOO)
def test_every_kind_of_image_is_read(name: str, tmp_path: Path) -> None:
    picture, mode = ZOO[name]
    picture.save(tmp_path / name)
    read = read_image(tmp_path / name)
    assert (read.mode, read.size) == (mode, picture.size)
    pixels = to_tensor(read)
    assert pixels.shape == (len(mode), picture.height, picture.width)
    assert 0 <= pixels.min() <= pixels.max() <= 1


@pytest.mark.parametrize(
    "name", ["grey.png", "sixteen-bit.png", "sixteen-bit.tif", "thirty-two-bit.tif", "real.tif", "real-wide.tif"]
)
def test_any_depth_gives_the_same_grey(name: str, tmp_path: Path) -> None:
    ZOO[name][0].save(tmp_path / name)
    assert np.abs(np.array(read_image(tmp_path / name), dtype=int) - STEPS).max() <= 1  # one step of rounding


@pytest.mark.parametrize(("ink", "paper"), [(20, 255), (235, 0)], ids=["dark-on-white", "bright-on-black"])
def test_what_is_transparent_stands_out_from_what_is_not(ink: int, paper: int, tmp_path: Path) -> None:
    with_alpha(ink).save(tmp_path / "disc.png")
    pixels = np.array(read_image(tmp_path / "disc.png"))
    assert (pixels[0, 0] == paper).all()
    assert (pixels[4, 6] == ink).all()


def test_an_opaque_image_with_alpha_is_as_it_was(tmp_path: Path) -> None:
    with_alpha(20, opaque=True).save(tmp_path / "full.png")
    assert (np.array(read_image(tmp_path / "full.png")) == 20).all()


def test_an_image_of_nothing_is_read(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (9, 9, 9, 0)).save(tmp_path / "nothing.png")
    assert (np.array(read_image(tmp_path / "nothing.png")) == 255).all()


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("L", (5, 4), shade) for shade in (200, 100, 0)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert (np.array(read_image(tmp_path / "moving.gif")) == 200).all()


def test_a_photo_taken_sideways_is_turned_upright(tmp_path: Path) -> None:
    metadata = Image.Exif()
    metadata[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(STEPS).save(tmp_path / "sideways.jpg", exif=metadata)
    assert read_image(tmp_path / "sideways.jpg").size == (9, 12)


def break_file(name: str, folder: Path) -> Path:
    path = folder / name
    whole = folder / "whole"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(whole, "PNG")
    content = whole.read_bytes()
    damaged = bytearray(content)
    damaged[len(content) // 2 : len(content) // 2 + 40] = b"\xff" * 40
    contents = {
        "empty.png": b"",
        "truncated.png": content[: len(content) // 2],
        "header-only.png": content[:20],
        "corrupt.png": bytes(damaged),
        "text.jpg": b"This is a letter, not a picture.\n" * 20,
        "script.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "drawing.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "gigantic.png": png_of_size(8001, 8000),
        "bomb.png": png_of_size(60_000, 60_000),
        "no-pixels.png": png_of_size(0, 5),
    }
    if name in contents:
        path.write_bytes(contents[name])
    elif name == "folder.png":
        path.mkdir()
    elif name == "pipe.png":
        os.mkfifo(path)
    elif name == "endless.png":
        path.symlink_to("/dev/zero")
    return path


BROKEN = {
    "missing.png": "there is no such file",
    "empty.png": "is empty",
    "truncated.png": "is a damaged image",
    "header-only.png": "damaged image|is not an image",
    "corrupt.png": "is a damaged image",
    "text.jpg": "is not an image: wanted PNG, JPEG",
    "script.svg": "is not an image",
    "drawing.eps": "is not an image",
    "gigantic.png": r"more than 64 million pixels: got 8001 × 8000; make it smaller",
    "bomb.png": "more than 64 million pixels; make it smaller",
    "no-pixels.png": "damaged image|is not an image",
    "folder.png": "is a folder",
    "pipe.png": "is not a regular file",
    "endless.png": "is not a regular file",
    "x" * 300: "cannot be read",
}


@pytest.mark.parametrize("name", BROKEN, ids=lambda name: name[:20])
def test_what_is_no_image_is_one_sentence(name: str, tmp_path: Path) -> None:
    path = break_file(name, tmp_path)
    with pytest.raises(ImageError, match=BROKEN[name]) as raised:
        read_image(path)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert len(message.splitlines()) == 1
    assert message.endswith(".")


def test_the_limit_is_on_pixels_and_can_be_set(tmp_path: Path) -> None:
    Image.new("L", (100, 50)).save(tmp_path / "small.png")
    assert read_image(tmp_path / "small.png", max_pixels=5000).size == (100, 50)
    with pytest.raises(ImageError, match=r"more than 0.004999 million pixels"):
        read_image(tmp_path / "small.png", max_pixels=4999)
    assert MAX_PIXELS == 64_000_000


SMALL = [name for name, (picture, _) in ZOO.items() if picture.size == (12, 9)]


@pytest.mark.parametrize("strip", [1, 2**20], ids=["strips", "whole"])
@pytest.mark.parametrize("name", SMALL)
def test_a_large_picture_is_reduced_to_what_is_enough(
    name: str, strip: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_STRIP_PIXELS", strip)
    picture, mode = ZOO[name]
    picture.save(tmp_path / f"small-{name}")
    picture.resize((12 * 16, 9 * 16), Image.Resampling.NEAREST).save(tmp_path / f"large-{name}")
    reduced = read_image(tmp_path / f"large-{name}", enough=12)
    assert (reduced.mode, reduced.size) == (mode, (12, 9))
    difference = np.array(reduced, dtype=int) - np.array(read_image(tmp_path / f"small-{name}"), dtype=int)
    lossy = name.endswith((".jpg", ".webp"))
    assert np.abs(difference).max() <= (50 if lossy else 1)


def test_sizes_that_no_factor_divides_are_reduced(tmp_path: Path) -> None:
    Image.new("RGB", (101, 37), (9, 8, 7)).save(tmp_path / "odd.png")
    reduced = read_image(tmp_path / "odd.png", enough=20)
    assert reduced.size == (21, 8)  # five times smaller, what is left over a pixel of its own
    assert reduced.getcolors() == [(21 * 8, (9, 8, 7))]
    assert read_image(tmp_path / "odd.png", enough=51).size == (101, 37)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
def test_a_large_photo_taken_sideways_is_turned_upright(kind: str, tmp_path: Path) -> None:
    metadata = Image.Exif()
    metadata[0x0112] = 6
    large = Image.fromarray(STEPS).resize((12 * 16, 9 * 16), Image.Resampling.NEAREST)
    large.save(tmp_path / f"sideways.{kind}", exif=metadata)
    upright = read_image(tmp_path / f"sideways.{kind}", enough=12)
    assert upright.size == (9, 12)
    assert np.abs(np.array(upright, dtype=int) - STEPS.T).max() <= 20  # bright below; JPEG is lossy


PEAK = """
import sys
from pathlib import Path
from lambdanets.data.images import read_image

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

before = peak()
read_image(Path(sys.argv[1]), enough=512)
print(1024 * (peak() - before))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell a process's peak")
def test_a_large_picture_needs_little_memory_beyond_its_decoder(tmp_path: Path) -> None:
    side = 2048
    Image.new("RGBA", (side, side), (200, 0, 0, 100)).save(tmp_path / "large.png", compress_level=1)
    command = [sys.executable, "-W", "ignore", "-c", PEAK, str(tmp_path / "large.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 3 * 4 * side * side  # decoded once, and what decoding takes; whole copies would make it 6


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "tif", "webp", "pgm"])
def test_files_with_wrong_bytes_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    """Each file has up to eight bytes changed by chance, a third are cut short too."""
    ZOO["grey.png" if kind == "pgm" else "colour.png"][0].save(tmp_path / f"good.{kind}")
    content = np.frombuffer((tmp_path / f"good.{kind}").read_bytes(), dtype=np.uint8)
    chance = np.random.default_rng(1)
    outcomes = set()
    for trial in range(60):
        changed = content.copy()
        places = chance.integers(0, len(content), chance.integers(1, 9))
        changed[places] = chance.integers(0, 256, len(places))
        length = len(content) if trial % 3 else chance.integers(1, len(content))
        (tmp_path / f"bad.{kind}").write_bytes(changed[:length].tobytes())
        try:
            outcomes.add(read_image(tmp_path / f"bad.{kind}").mode in ("L", "RGB"))
        except ImageError:
            outcomes.add("refused")
    assert outcomes <= {True, "refused"}
    assert "refused" in outcomes


def test_a_folder_stands_for_its_images(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", ".hidden.txt", "notes.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "deeper.png").mkdir()
    lone = tmp_path / "notes.txt"
    assert find_images([lone, tmp_path]) == [lone, tmp_path / "a.jpg", tmp_path / "b.PNG"]
    with pytest.raises(ImageError, match=r"holds no image: wanted files whose names end in \.png"):
        find_images([tmp_path / "deeper.png"])


def test_colours_keep_their_places() -> None:
    pixels = to_tensor(Image.fromarray(RGB))
    assert torch.equal((pixels * 255).round().to(torch.uint8), torch.from_numpy(RGB.transpose(2, 0, 1).copy()))


@pytest.mark.parametrize("name", ZOO)
def test_bytes_give_what_their_file_gives(name: str, tmp_path: Path) -> None:
    ZOO[name][0].save(tmp_path / name)
    decoded = decode_image((tmp_path / name).read_bytes(), "shard.tar:one")
    read = read_image(tmp_path / name)
    assert (decoded.mode, decoded.size, decoded.tobytes()) == (read.mode, read.size, read.tobytes())


HAVE_BYTES = [name for name, said in BROKEN.items() if "image" in said or "pixels" in said or said == "is empty"]


@pytest.mark.parametrize("name", HAVE_BYTES)
def test_bytes_that_are_no_image_are_one_sentence_too(name: str, tmp_path: Path) -> None:
    path = break_file(name, tmp_path)
    with pytest.raises(ImageError, match=BROKEN[name]) as raised:
        decode_image(path.read_bytes(), "shard.tar:one")
    assert str(raised.value).startswith("shard.tar:one ")


def test_reading_images_does_not_load_torch() -> None:
    program = "import sys, lambdanets.data.images; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
