"""What is in each box: torchvision's box and mask heads, as wide and deep as the options say."""

from torch import nn
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import initLevelMapper

from lambdanets.detection.options import DetectorOptions

BOX_SIDE, MASK_SIDE = 7, 14
"""Positions a side that a proposal is seen as by the box head and by the mask head."""
CANONICAL_LEVEL = 4
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
        FastRCNNPredictor(options.box_hidden, num_classes),
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
        mask_predictor=MaskRCNNPredictor(options.mask_dims[-1], options.mask_dims[-1], num_classes),
    )


def build_pool(options: DetectorOptions, side: int) -> MultiScaleRoIAlign:
    """RoIAlign to side × side positions, on the level that fits a box's size.

    Its scales are set here: by itself it would infer them from the first batch, wrongly where that is mostly padding.
    """
    levels = [level for level in options.levels if level < 6]
    pool = MultiScaleRoIAlign([f"p{level}" for level in levels], side, sampling_ratio=2)
    pool.scales = [2.0**-level for level in levels]
    pool.map_levels = initLevelMapper(levels[0], levels[-1], options.canonical_size, CANONICAL_LEVEL)
    return pool
