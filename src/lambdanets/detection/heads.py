"""What is in each box: torchvision's box and mask heads, as wide and deep as the options say."""

from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads

from lambdanets.detection.options import DetectorOptions
from lambdanets.detection.pooling import LevelPool
from lambdanets.ops.precision import at_least_fp32

BOX_SIDE, MASK_SIDE = 7, 14
"""Positions a side that a proposal is seen as by the box head and by the mask head."""
BOXES_ON_OBJECTS = 0.25
"""Share of the sampled boxes that may be on objects."""


def build_heads(options: DetectorOptions, num_classes: int) -> RoIHeads:
    """Box head (convolutions and a fully connected layer) and mask head (convolutions), as the options say."""
    norm = nn.BatchNorm2d if options.norms else None
    return RoIHeads(
        build_pool(options, BOX_SIDE),
        FastRCNNConvFCHead(
            (options.pyramid_dim, BOX_SIDE, BOX_SIDE), list(options.box_dims), [options.box_hidden], norm
        ),
        BoxPredictor(options.box_hidden, num_classes),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=options.boxes_sampled,
        positive_fraction=BOXES_ON_OBJECTS,
        bbox_reg_weights=None,
        score_thresh=options.score_threshold,
        nms_thresh=0.5,
        detections_per_img=options.detections,
        mask_roi_pool=build_pool(options, MASK_SIDE),
        mask_head=MaskRCNNHeads(options.pyramid_dim, list(options.mask_dims), 1, norm),
        mask_predictor=MaskPredictor(options.mask_dims[-1], options.mask_dims[-1], num_classes),
    )


class BoxPredictor(FastRCNNPredictor):
    """torchvision's, in single precision or wider: proposals are taken to the precision of what is said of them."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, classes) and offsets (n, 4 · classes) from features (n, d)."""
        scores, offsets = super().forward(x)
        return scores.to(at_least_fp32(scores.dtype)), offsets.to(at_least_fp32(offsets.dtype))


class MaskPredictor(MaskRCNNPredictor):
    """torchvision's, in single precision or wider."""

    def forward(self, input: Tensor) -> Tensor:
        """Logits (n, classes, y, x) from features (n, d, y / 2, x / 2)."""
        logits = super().forward(input)
        return logits.to(at_least_fp32(logits.dtype))


def build_pool(options: DetectorOptions, side: int) -> LevelPool:
    """RoIAlign to side × side positions, on the levels that a stage of the backbone stands under."""
    return LevelPool([level for level in options.levels if level < 6], side, canonical_size=options.canonical_size)
