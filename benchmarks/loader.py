"""How fast pictures become batches, by stage and by worker count: python -m benchmarks.loader [--data PATH].

Without --data the bundled digits are written as files and read again; real photos are larger, and decoding them takes
longer. The first table is one process, stage by stage, in CPU and in waiting time; the second is the whole loader in
wall-clock time, as a training sees it that takes no time itself. The last line says what to change.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from lambdanets.data.augment import enough_pixels, varied
from lambdanets.data.batch import LabelledBatch
from lambdanets.data.images import ImageError, decode_image
from lambdanets.data.loader import LoaderConfig, Request, load_batches
from lambdanets.data.stored import StoredConfig, StoredImages


@dataclass(frozen=True)
class Augmented:
    """Makes training batches, in any process."""

    split: StoredImages

    def __call__(self, request: Request) -> LabelledBatch:
        """The batch of a request."""
        return self.split.augmented(request.indices, request.epochs, seed=0)


@dataclass
class Stage:
    """What a stage took for all pictures, in seconds."""

    name: str
    busy: float
    wall: float

    @property
    def waiting(self) -> float:
        """Seconds in which the processor had nothing to do: a disk or a network."""
        return max(0.0, self.wall - self.busy)


def main(arguments: Iterable[str] = sys.argv[1:]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", metavar="PATH", help="a folder of pictures, tar shards or parquet files")
    parser.add_argument("--size", type=int, default=224, help="side of the network's input, in pixels")
    parser.add_argument("--batch", type=int, default=64, help="pictures in a batch")
    parser.add_argument("--pictures", type=int, default=1024, help="how many are measured")
    parser.add_argument("--layers", type=int, default=2, help="RandAugment layers")
    parser.add_argument("--workers", type=int, nargs="*", help="worker counts; by default 0, 1, … the cores, doubling")
    options = parser.parse_args(list(arguments))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = options.data or digits_as_files(Path(folder) / "digits")
        config = StoredConfig(path=path, image_size=options.size, rand_augment_layers=options.layers)
        split = config.load_pool()
        stages = measure_stages(split, min(options.pictures, len(split)), options.batch)
        counts = options.workers or worker_counts()
        rates = {count: loader_rate(split, count, options.pictures, options.batch) for count in counts}
    report(stages, min(options.pictures, len(split)), rates, Console())


def digits_as_files(path: Path) -> str:
    from lambdanets.data.written_digits import write_digits

    write_digits(path, "tree", size=256)
    return str(path)


def worker_counts() -> list[int]:
    cores = os.cpu_count() or 1
    return [0, *(2**power for power in range(cores.bit_length()) if 2**power <= cores)]


def measure_stages(split: StoredImages, count: int, size: int) -> list[Stage]:
    """Each stage over the same pictures, one after the other in this process, a batch at a time."""
    stages = [Stage(name, 0.0, 0.0) for name in ("read", "decode", "augment", "collate")]
    varied(decoded(split, 0, split.source.read(0)), split.preprocess, split.variation, seed=0, epoch=0, index=0)  # warm
    for start in range(0, count, size):
        indices = range(start, min(start + size, count))
        contents = timed(stages[0], lambda indices=indices: [split.source.read(int(split.chosen[i])) for i in indices])
        pictures = timed(stages[1], lambda c=contents, i=indices: list(map(decoded, [split] * len(c), i, c)))
        pixels = timed(
            stages[2],
            lambda p=pictures: [
                varied(picture, split.preprocess, split.variation, seed=0, epoch=0, index=index)
                for index, picture in enumerate(p)
                if picture is not None
            ],
        )
        timed(stages[3], lambda p=pixels: split.preprocess.normalize(torch.stack(p).float() / 255))
    return stages


def decoded(split: StoredImages, index: int, content: bytes):
    try:
        return decode_image(content, split.name(index), enough=enough_pixels(split.preprocess))
    except ImageError:
        return None


def timed(stage: Stage, work: Callable[[], list]) -> list:
    busy, wall = time.process_time(), time.perf_counter()
    result = work()
    stage.busy += time.process_time() - busy
    stage.wall += time.perf_counter() - wall
    return result


def loader_rate(split: StoredImages, workers: int, pictures: int, size: int) -> float:
    """Pictures a second from the first batch to the last: the start of the workers is not counted."""

    def requests(first: int) -> Iterator[Request]:
        for step in range(first, max(4, pictures // size) + 1 + 2 * workers):
            indices = (np.arange(size) + step * size) % len(split)
            yield Request(step, indices, np.full(size, step))

    batches = load_batches(Augmented(split), requests, 0, LoaderConfig(workers=workers), pin=False, warn=print)
    for _ in range(1 + 2 * workers):  # what was made while the other workers were starting
        next(batches)
    start = time.perf_counter()
    return sum(len(batch.images) for batch in batches) / (time.perf_counter() - start)


def report(stages: list[Stage], count: int, rates: dict[int, float], console: Console) -> None:
    total = sum(stage.wall for stage in stages)
    table = Table("stage", "images/s", "share", "waiting", title="one process")
    for stage in stages:
        row = (f"{count / stage.wall:,.0f}", f"{stage.wall / total:.0%}", f"{stage.waiting / stage.wall:.0%}")
        table.add_row(stage.name, *row)
    table.add_row("all", f"{count / total:,.0f}", "100%", f"{sum(stage.waiting for stage in stages) / total:.0%}")
    console.print(table)
    table = Table("workers", "images/s", "against one process", title="the whole loader")
    for workers, rate in rates.items():
        table.add_row(str(workers), f"{rate:,.0f}", f"{rate * total / count:.2f} ×")
    console.print(table)
    console.print(verdict(stages, rates))


def verdict(stages: list[Stage], rates: dict[int, float]) -> str:
    """What limits the loader, and what would help."""
    total, slowest = sum(stage.wall for stage in stages), max(stages, key=lambda stage: stage.wall)
    best = max(rates, key=lambda count: rates[count])
    waits = slowest.waiting > slowest.busy
    advice = {
        "read": "a nearer disk, or shards in place of single files" if waits else "shards in place of single files",
        "decode": "more workers, or pictures stored at about twice the size that is trained on",
        "augment": "more workers, fewer RandAugment layers or a smaller image_size",
        "collate": "a smaller image_size",
    }[slowest.name]
    return (
        f"Bottleneck: {slowest.name}, {slowest.wall / total:.0%} of a picture's time. What helps: {advice}. "
        f"Most pictures, {rates[best]:,.0f} a second, came with loader.workers={best}."
    )


if __name__ == "__main__":
    main()
