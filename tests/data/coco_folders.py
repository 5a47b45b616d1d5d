"""Folders in exactly COCO's form, for tests that read them or spoil them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CATEGORIES = ({"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 90, "name": "toothbrush"})
"""With gaps, as COCO's own."""
ROWS, COLUMNS = 48, 64
Content = dict[str, Any]


def polygon(left: float, top: float, width: float, height: float) -> list[float]:
    return [left, top, left + width, top, left + width, top + height, left, top + height]


def annotation(number: int, picture: int, category: int, box: tuple[float, float, float, float]) -> Content:
    return {
        "segmentation": [polygon(*box)],
        "area": box[2] * box[3],
        "iscrowd": 0,
        "image_id": picture,
        "bbox": list(box),
        "category_id": category,
        "id": number,
    }


def crowd(number: int, picture: int, category: int) -> Content:
    counts = [ROWS * 10, ROWS * 20, ROWS * (COLUMNS - 30)]
    return {
        "segmentation": {"counts": counts, "size": [ROWS, COLUMNS]},
        "area": ROWS * 20.0,
        "iscrowd": 1,
        "image_id": picture,
        "bbox": [10, 0, 20, ROWS],
        "category_id": category,
        "id": number,
    }


def content(first: int, pictures: int) -> Content:
    """As in COCO's files: unsorted ids, two objects a picture, one crowd; the last picture has none."""
    ids = [first + 7 * place for place in range(pictures)]
    annotations = [crowd(900 + first, ids[0], 1)]
    for place, picture in enumerate(ids[:-1]):
        noise = np.random.default_rng(picture)
        for number in range(2):
            left, top = (round(float(noise.uniform(0, 25)), 2) for _ in range(2))
            category = CATEGORIES[(place + number) % 3]["id"]
            own = 100_000 - 2 * picture - number
            annotations.append(annotation(own, picture, category, (left, top, 20.5 + number, 18.25)))
    return {
        "info": {"description": "COCO 2017 Dataset", "version": "1.0", "year": 2017},
        "licenses": [{"url": "…", "id": 1, "name": "Attribution"}],
        "images": [
            {"license": 4, "file_name": f"{number:012d}.jpg", "height": ROWS, "width": COLUMNS, "id": number}
            for number in ids
        ],
        "annotations": annotations,
        "categories": [dict(category, supercategory="thing") for category in CATEGORIES],
    }


def write_coco(folder: Path, *, spoil: Callable[[Content], object] = lambda data: None, pictures: int = 6) -> Path:
    """train2017 and val2017; `spoil` changes what is written of train."""
    (folder / "annotations").mkdir(parents=True)
    for name, first, count in (("train2017", 9, pictures), ("val2017", 1009, 4)):
        data = content(first, count)
        (folder / name).mkdir()
        for entry in data["images"]:
            pixels = np.random.default_rng(entry["id"]).integers(0, 256, (ROWS // 8, COLUMNS // 8, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels).resize((COLUMNS, ROWS), Image.Resampling.BICUBIC)
            picture.save(folder / name / entry["file_name"], quality=95)
        if name == "train2017":
            spoil(data)
        (folder / "annotations" / f"instances_{name}.json").write_text(json.dumps(data))
    return folder
