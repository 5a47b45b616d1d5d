"""Where objects may be: torchvision's region proposal network, blind to padding.

Anchors that stand on padding are neither proposed nor learned from. So an image has the proposals and the samples that
it would have alone.
"""

import torch
from jaxtyping import Bool
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers

from lambdanets.detection.options import DetectorOptions
from lambdanets.detection.sizes import Target
from lambdanets.ops.precision import at_least_fp32

ANCHORS_ON_OBJECTS = 0.5
"""Share of the sampled anchors that may be on objects."""


class LevelAnchors(AnchorGenerator):
    """torchvision's anchors, at strides that do not depend on how far a batch is padded.

    Args:
        levels: level l has stride 2**l.
        sizes: side in pixels, one a level.
        ratios: height over width.
    """

    def __init__(self, levels: tuple[int, ...], sizes: tuple[float, ...], ratios: tuple[float, ...]) -> None:
        super().__init__(tuple((size,) for size in sizes), (tuple(ratios),) * len(sizes))
        self.levels = levels

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """The anchors (n, 4) of every image, the same for all: level by level, row by row."""
        first = feature_maps[0]
        dtype = at_least_fp32(first.dtype)
        self.set_cell_anchors(dtype, first.device)
        strides = [[torch.tensor(2**level, device=first.device)] * 2 for level in self.levels]
        anchors = torch.cat(self.grid_anchors([list(x.shape[-2:]) for x in feature_maps], strides)).to(dtype)
        return [anchors] * len(image_list.image_sizes)


class ProposalNetwork(RegionProposalNetwork):
    """Maps features to proposals, and in training to its two losses."""

    def forward(
        self, images: ImageList, features: dict[str, Tensor], targets: list[Target] | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Boxes (n, 4) an image in pixels of the batch, and the losses, none in eval mode.

        Args:
            images: the padded batch.
            features: pyramid levels, zero where hidden.
            targets: `boxes` an image; used in training only.
        """
        maps = list(features.values())
        scores, deltas = self.head(maps)
        anchors = self.anchor_generator(images, maps)
        num_anchors = [score[0].numel() for score in scores]
        scores, deltas = concat_box_prediction_layers(scores, deltas)
        wide = at_least_fp32(scores.dtype)
        scores, deltas = scores.to(wide).view(len(anchors), -1), deltas.to(wide).view(len(anchors), -1, 4)
        inside = anchors_inside(anchors[0], images)
        with torch.no_grad():
            proposals = self.box_coder.decode(deltas.flatten(0, 1), anchors).view(len(anchors), -1, 4)
            proposals = proposals.masked_fill(~inside[..., None], 0)  # without area, and so dropped
            ranked = scores.masked_fill(~inside, torch.finfo(wide).min)
            boxes, _ = self.filter_proposals(proposals, ranked, images.image_sizes, num_anchors)
        if not self.training or targets is None:
            return boxes, {}
        anchors = [anchors[0][seen] for seen in inside]
        labels, matched = self.assign_targets_to_anchors(anchors, targets)
        wanted = self.box_coder.encode([boxes.to(wide) for boxes in matched], anchors)
        objectness, offsets = self.compute_loss(
            scores[inside], deltas[inside], [label.to(wide) for label in labels], list(wanted)
        )
        return boxes, {"loss_objectness": objectness, "loss_rpn_box_reg": offsets}


def anchors_inside(anchors: Tensor, images: ImageList) -> Bool[Tensor, "b n"]:
    """Which anchors (n, 4) have their centres on each image, and not on its padding."""
    x, y = (anchors[:, :2] + anchors[:, 2:]).div(2).unbind(1)
    sizes = torch.tensor(images.image_sizes, device=anchors.device)
    return (y < sizes[:, :1]) & (x < sizes[:, 1:])


def build_proposals(options: DetectorOptions) -> ProposalNetwork:
    """The region proposal network of the options."""
    before, after = zip(options.proposals_training, options.proposals, strict=True)
    return ProposalNetwork(
        LevelAnchors(options.levels, options.anchor_sizes, options.anchor_ratios),
        RPNHead(options.pyramid_dim, len(options.anchor_ratios)),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=options.anchors_sampled,
        positive_fraction=ANCHORS_ON_OBJECTS,
        pre_nms_top_n={"training": before[0], "testing": before[1]},
        post_nms_top_n={"training": after[0], "testing": after[1]},
        nms_thresh=0.7,
    )
