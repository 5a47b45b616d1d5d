"""Folders of files that strangers damaged or built to do harm, all the way through the loader (R12, R13)."""

import io
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_data_images import ZOO, png_of_size

from lambdanets.data.batch import LabelledBatch
from lambdanets.data.loader import LoaderConfig, Request, load_batches
from lambdanets.data.stored import StoredConfig, StoredImages

CONFIG = StoredConfig(image_size=16)
FORMATS = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP"}
BOMBS = {"400-mpx.png": (20_000, 20_000), "144-mpx.png": (12_000, 12_000), "tall.png": (1, 2**30)}


@dataclass(frozen=True)
class Plain:
    split: StoredImages

    def __call__(self, request: Request) -> LabelledBatch:
        return self.split.plain(request.indices)


def write_fuzzed(folder: Path, count: int) -> None:
    """Files of six formats, each with up to eight bytes changed by chance, a third of them cut short too."""
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, 256, (24, 20, 3), dtype=np.uint8)
    for number in range(count):
        suffix = list(FORMATS)[number % len(FORMATS)]
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, FORMATS[suffix])
        content = np.frombuffer(file.getvalue(), dtype=np.uint8).copy()
        places = chance.integers(0, len(content), chance.integers(1, 9))
        content[places] = chance.integers(0, 256, len(places))
        length = len(content) if number % 3 else int(chance.integers(1, len(content)))
        (folder / f"fuzzed-{number:05d}.{suffix}").write_bytes(content[:length].tobytes())


def write_harmful(folder: Path) -> list[str]:
    """One of each kind; the names of those that give no picture."""
    for name, (width, height) in BOMBS.items():
        (folder / name).write_bytes(png_of_size(width, height))
    (folder / "bits.pbm").write_bytes(b"P4\n30000 30000\n" + bytes(100))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("<svg onload=alert(1)>")
    metadata = Image.Exif()
    metadata[0x010E] = "x" * 60_000
    metadata[0x0112] = 6
    Image.new("RGB", (40, 30)).save(folder / "exif.jpg", exif=metadata)
    for name, (picture, _) in ZOO.items():
        picture.save(folder / f"zoo-{name}")
    return [*BOMBS, "bits.pbm", "empty.jpg", "text.png"]


def passed_through(folder: Path, workers: int) -> tuple[StoredImages, LabelledBatch]:
    """Every file of a folder as one batch; whatever happens, no worker is lost."""
    split = CONFIG.load_pool(str(folder))
    chunks = np.array_split(np.arange(len(split)), -(-len(split) // 64))
    requests = [Request(step, indices, np.zeros_like(indices)) for step, indices in enumerate(chunks)]
    config = LoaderConfig(workers=workers)
    batches = list(load_batches(Plain(split), lambda _: iter(requests), 0, config, pin=False, warn=pytest.fail))
    images, labels, weights = (torch.cat(parts) for parts in list(zip(*batches, strict=True))[:3])
    return split, LabelledBatch(images, labels, weights, tuple(note for batch in batches for note in batch.notes))


def assert_told(split: StoredImages, batch: LabelledBatch) -> list[str]:
    """The names of what gave no picture: each is in a note, has weight 0 and an empty image, in its own place."""
    skipped = [split.name(int(index)) for index in torch.nonzero(batch.weights == 0)[:, 0]]
    assert len(batch.weights) == len(split)
    assert len(batch.notes) == len(skipped)
    assert all(note.startswith(name) for note, name in zip(batch.notes, skipped, strict=True))
    assert (batch.images[batch.weights == 0] == 0).all()
    assert batch.images.isfinite().all()
    return skipped


@pytest.mark.parametrize("workers", [0, 2])
def test_harmful_files_are_listed_and_nothing_stands_in_for_them(workers: int, tmp_path: Path) -> None:
    wanted = write_harmful(tmp_path)
    write_fuzzed(tmp_path, 120)
    skipped = assert_told(*passed_through(tmp_path, workers))
    assert [name for name in skipped if not name.startswith("fuzzed")] == sorted(wanted)
    assert 30 < len(skipped) < 120


MEMORY = """
import sys; sys.path.insert(0, {folder!r})
from pathlib import Path
import numpy as np
from test_data_hostile import CONFIG, assert_told, passed_through

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

if __name__ == "__main__":
    few, many = map(Path, sys.argv[1:])
    passed_through(few, 0)
    before = peak()
    split, batch = passed_through(many, 0)
    print(len(split), len(assert_told(split, batch)), (peak() - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell a process's peak")
def test_nine_thousand_fuzzed_files_and_bombs_take_little_memory(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    write_fuzzed(tmp_path / "few", 64)
    write_fuzzed(tmp_path / "many", 9000)
    write_harmful(tmp_path / "many")
    Image.new("RGB", (8000, 8000), (200, 0, 0)).save(tmp_path / "many" / "largest.png", compress_level=1)  # allowed
    Image.new("RGBA", (8000, 8000), (200, 0, 0, 9)).save(tmp_path / "many" / "clear.png", compress_level=1)
    (tmp_path / "script.py").write_text(MEMORY.format(folder=str(Path(__file__).parent)))
    command = [sys.executable, "-W", "ignore", tmp_path / "script.py", tmp_path / "few", tmp_path / "many"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files, skipped, megabytes = map(int, done.stdout.split())
    assert files > 9000
    assert 2000 < skipped < 8000
    assert megabytes <= 300


def test_judging_counts_every_file_once(tmp_path: Path) -> None:
    """Judged pictures are never replaced: a file that gives none is there with weight 0, and its own label."""
    for split in ("train", "val"):
        for label in ("ant", "bee"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(4):
                Image.new("L", (9, 9), 60 * number).save(tmp_path / split / label / f"{number}.png")
    (tmp_path / "val" / "bee" / "1.png").write_bytes(png_of_size(20_000, 20_000))
    judged = replace(CONFIG, path=str(tmp_path)).load().validation
    assert judged is not None
    batch = judged.plain(np.arange(len(judged)))
    assert batch.labels.tolist() == [0, 1] * 4
    assert batch.weights.tolist() == [1, 1, 1, 0, 1, 1, 1, 1]
    assert "bee/1.png" in batch.notes[0]
