"""How good detections are, by the field's rules: COCO's average precision and recall, of boxes and of masks.

The counting is that of faster-coco-eval, equal to pycocotools in every number.

Letters: n detections of a picture, y rows and x columns of pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lambdanets.data.masks import encode_masks

NUMBERS = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
)
"""In COCO's order. AP is the mean over overlaps of 0.50, 0.55 … 0.95 and over classes; small ends at 32² pixels, large
begins at 96²; AR1 is the recall of one detection a picture."""
UNDEFINED = -1.0
"""A number that nothing speaks for: no object of that size, or of that class, is there to be found."""

Kind = Literal["bbox", "segm"]


def coco_scores(truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], kind: Kind) -> dict[str, float]:
    """The twelve `NUMBERS`, then `AP/NAME` for each class: shares of 0…1, or −1 where there is nothing to be found.

    Without any detection, what can be found counts as missed: 0. A class that is nowhere in the truth is left out of
    all means, whatever is detected of it. A detection's size is that of its box or of its mask, whichever is judged.
    Neither argument is changed.

    Args:
        truth: The content of a COCO annotation file: images, annotations, categories.
        detections: COCO results, as `to_coco_results` makes them; those of a score that is not finite do not count.
        kind: Whether boxes are judged or masks.

    Raises:
        ValueError: a detection is of a picture or a category that the truth does not have, or lacks what is judged.
    """
    from faster_coco_eval import COCO, COCOeval_faster  # loaded only where something is judged

    _check_detections(truth, detections, kind)
    known = {name: [dict(entry) for entry in truth[name]] for name in ("images", "annotations", "categories")}
    for number, annotation in enumerate(known["annotations"]):
        annotation["id"] = number + 1  # 0 would stand for "not found"
    there = COCO(known)
    judge = COCOeval_faster(there, there.loadRes(_as_judged(detections, kind)), kind, print_function=_quiet)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    scores = dict(zip(NUMBERS, (float(number) for number in judge.stats), strict=True))
    return scores | _of_classes(judge.eval["precision"], truth["categories"])


def to_coco_results(
    outputs: Iterable[Mapping[str, Tensor]], targets: Iterable[Mapping[str, Tensor]], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """What a detector of torchvision's form answered, as COCO results; masks, where it gave any, as run lengths.

    `outputs` hold boxes (n, 4), labels, scores and perhaps masks (n, 1, y, x) of probabilities, which count from 0.5;
    `targets` the image_id of the same pictures; label k is category_ids[k − 1].
    """
    results: list[dict[str, Any]] = []
    for output, target in zip(outputs, targets, strict=True):
        boxes = output["boxes"].detach().double().cpu()
        corners = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).tolist()
        found = [
            {"image_id": int(target["image_id"]), "category_id": category_ids[label - 1], "bbox": box, "score": score}
            for box, label, score in zip(corners, output["labels"].tolist(), output["scores"].tolist(), strict=True)
        ]
        if "masks" in output:
            masks = (output["masks"].detach()[:, 0] >= 0.5).byte().cpu().numpy()
            found = [one | {"segmentation": mask} for one, mask in zip(found, encode_masks(masks), strict=True)]
        results += found
    return results


def _check_detections(truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], kind: Kind) -> None:
    part = {"bbox": "bbox", "segm": "segmentation"}.get(kind)
    if part is None:
        raise ValueError(f"got the kind '{kind}', wanted 'bbox' or 'segm'.")
    images = {entry["id"] for entry in truth["images"]}
    categories = {entry["id"] for entry in truth["categories"]}
    for one in detections:
        if one["image_id"] not in images:
            raise ValueError(
                f"a detection is of picture {one['image_id']}, which is not among the {len(images)} of the truth: "
                "judge it with the truth of its own split."
            )
        if one["category_id"] not in categories:
            raise ValueError(
                f"a detection is of category {one['category_id']}, which is not among the {len(categories)} of the "
                "truth: judge it with the truth that its network learned from."
            )
        if part not in one:
            raise ValueError(f"a detection of picture {one['image_id']} has no '{part}', wanted one to judge {kind}.")


def _as_judged(detections: Sequence[Mapping[str, Any]], kind: Kind) -> list[dict[str, Any]]:
    """Copies with only what is judged: beside a box, COCO would take a mask's size from that."""
    part = {"bbox": "bbox", "segm": "segmentation"}[kind]
    kept = [one for one in detections if np.isfinite(one["score"])]
    return [{name: one[name] for name in ("image_id", "category_id", "score", part)} for one in kept]


def _of_classes(precision: Any, categories: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """AP of each class out of (overlaps, recalls, classes by id, sizes, counts)."""
    named = sorted(categories, key=lambda entry: entry["id"])
    parts = [np.asarray(precision)[:, :, place, 0, -1] for place in range(len(named))]
    return {
        f"AP/{entry['name']}": float(part[part > -1].mean()) if (part > -1).any() else UNDEFINED
        for entry, part in zip(named, parts, strict=True)
    }


def _quiet(*words: object) -> None:
    """Says nothing."""
