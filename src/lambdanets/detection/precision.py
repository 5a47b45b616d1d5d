"""How well a detector found what there is: COCO's numbers for boxes and for masks, and what they were counted from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lambdanets.detection.evaluation import NUMBERS, coco_scores

KINDS = {"box": "bbox", "mask": "segm"}
"""What is compared → COCO's word for it."""


@dataclass(frozen=True, kw_only=True)
class Precision(Mapping[str, float]):
    """What became of the judged pictures; as a mapping, its `numbers`."""

    of: Mapping[str, Mapping[str, float]]
    """box, mask → AP, AP50, …, then AP/NAME of each class: 0…1, or −1 where there is nothing to be found."""
    results: list[dict[str, Any]]
    """Every detection, as COCO writes it."""
    num_images: int
    """Pictures that were judged."""
    notes: tuple[str, ...] = ()
    """One sentence for each picture that could not be read; what is in it counts as missed."""

    @property
    def numbers(self) -> dict[str, float]:
        """COCO's twelve of each kind, such as box_ap and mask_ap_small, and counts."""
        found = {f"{kind}_{name.lower()}": self.of[kind][name] for kind in KINDS for name in NUMBERS}
        return found | {"images": self.num_images, "detections": len(self.results), "unreadable": len(self.notes)}

    def __getitem__(self, name: str) -> float:
        return self.numbers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


def precision_of(
    truth: Mapping[str, Any], results: list[dict[str, Any]], num_images: int, notes: tuple[str, ...] = ()
) -> Precision:
    """The detections of a split compared with what is there."""
    of = {kind: coco_scores(truth, results, word) for kind, word in KINDS.items()}  # type: ignore[arg-type]
    return Precision(of=of, results=results, num_images=num_images, notes=notes)
