"""Mask R-CNN on a network of this package: `create_detector`.

The parts are torchvision's: transform, region proposal network, RoIAlign, heads. What is ours is the network below
them, and that what becomes of an image does not depend on the padding that others of its batch make necessary.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from torch import Tensor
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.roi_heads import RoIHeads

from lambdanets.detection.backbone import PyramidBackbone
from lambdanets.detection.heads import BOXES_ON_OBJECTS, build_heads
from lambdanets.detection.options import DetectorOptions
from lambdanets.detection.proposals import ANCHORS_ON_OBJECTS, ProposalNetwork, build_proposals
from lambdanets.detection.sampling import ChanceSampler
from lambdanets.detection.scenes import SPECS, build_scene_network
from lambdanets.detection.sizes import Sizing, Target, edge_repeated, visible_positions
from lambdanets.detection.targets import check_images, check_targets
from lambdanets.models import create_model, list_models
from lambdanets.models.network import ResNet
from lambdanets.models.spec import check_number
from lambdanets.nearest import advice


def create_detector(
    backbone: str | ResNet = "lambda_resnet101",
    *,
    num_classes: int = 91,
    backbone_options: Mapping[str, Any] | None = None,
    options: DetectorOptions | None = None,
    **changes: Any,
) -> "Detector":
    """A Mask R-CNN with freshly drawn weights, in training mode.

    Args:
        backbone: one of `list_models()`, "lambda_scenes" or "conv_scenes" for the demo, or a network, which then may
            have weights already.
        num_classes: classes, the background counted as one of them: its number is 0.
        backbone_options: options of `create_model`.
        options: all else; None: the paper's.
        changes: fields of `DetectorOptions` to set.

    Raises:
        ValueError: for an unknown name or option, naming the nearest, and for values that do not fit together.
    """
    known = [field.name for field in fields(DetectorOptions)]
    for name in changes:
        if name not in known:
            place = f"{DetectorOptions.__module__}.{DetectorOptions.__name__}"
            raise ValueError(f"a detector has no option {name!r}: {advice(name, known, kind='options', place=place)}")
    check_number("num_classes", num_classes, 2)
    if isinstance(backbone, str):
        backbone = build_body(backbone, **(backbone_options or {}))
    elif backbone_options:
        raise ValueError("got backbone_options for a network that is built already; set them where it is built.")
    return Detector(backbone, replace(options or DetectorOptions(), **changes), num_classes=num_classes)


def build_body(name: str, **options: Any) -> ResNet:
    """The network `name`, of `list_models()` or `scenes.SPECS`, without its classifier; ValueError for another."""
    known = [*SPECS, *list_models()]
    if name not in known:
        where = advice(name, known, kind="backbones", place="the command lambdanets models")
        raise ValueError(f"unknown backbone {name!r}: {where}")
    return build_scene_network(name, **options) if name in SPECS else create_model(name, num_classes=0, **options)


class Detector(GeneralizedRCNN):
    """Images to objects: boxes, classes, masks.

    Args:
        body: the network; its classifier is removed.
        options: all but the network and the classes.
        num_classes: classes, the background counted.
    """

    backbone: PyramidBackbone
    rpn: ProposalNetwork
    roi_heads: RoIHeads
    transform: Sizing

    def __init__(self, body: ResNet, options: DetectorOptions, *, num_classes: int) -> None:
        if body.in_chans != 3:
            raise ValueError(
                f"the backbone takes {body.in_chans} channels; a detector's takes 3: build it with in_chans=3."
            )
        body.reset_classifier(0)
        body.set_grad_checkpointing(options.checkpointing)
        backbone = PyramidBackbone(
            body,
            options.levels,
            dim=options.pyramid_dim,
            norms=options.norms,
            frozen_stages=options.frozen_stages,
            frozen_norms=options.frozen_norms,
        )
        sizing = Sizing(
            options.min_size, options.max_size, options.mean, options.std, scale_training=options.scale_training
        )
        super().__init__(backbone, build_proposals(options), build_heads(options, num_classes), sizing)
        self.num_classes = num_classes
        self.anchor_sampler = ChanceSampler(options.anchors_sampled, ANCHORS_ON_OBJECTS, number=0)
        self.box_sampler = ChanceSampler(options.boxes_sampled, BOXES_ON_OBJECTS, number=1)
        self.rpn.fg_bg_sampler, self.roi_heads.fg_bg_sampler = self.anchor_sampler, self.box_sampler

    def forward(self, images: list[Tensor], targets: list[Target] | None = None) -> Any:
        """In training torchvision's five losses by name; in eval mode what was found, a dict an image.

        Args:
            images: (3, y, x) each, values 0 … 1, of any sizes.
            targets: in training an image's `boxes` (n, 4) as x0 y0 x1 y1 in pixels, `labels` (n,) 1 … num_classes − 1,
                `masks` (n, y, x); n may be 0. Where every one has a `chance`, a whole number, it decides which anchors
                and boxes of its image the losses look at (`sampling.NOTHING`: none), else torch's global state does.

        What was found has boxes (n, 4), labels (n,), scores (n,) and masks (n, 1, y, x) of 0 … 1, in pixels as given.

        Raises:
            ValueError: images or targets that are not of this form.
        """
        check_images(images)
        if self.training:
            check_targets(images, targets, self.num_classes)
            self._take_chances(targets or [])
        given = [(image.shape[-2], image.shape[-1]) for image in images]
        batch, targets = self.transform(images, targets if self.training else None)
        levels, visible = self.backbone(batch.tensors, visible_positions(batch))
        proposals, losses = self.rpn(batch, levels, targets)
        levels = {name: x if (seen := visible[name]) is None else edge_repeated(x, seen) for name, x in levels.items()}
        found, more = self.roi_heads(levels, proposals, batch.image_sizes, targets)
        return {**more, **losses} if self.training else self.transform.postprocess(found, batch.image_sizes, given)

    def num_learned_from(self) -> dict[str, int]:
        """Of how many anchors or boxes each loss of the last batch is the mean."""
        anchors, boxes = self.anchor_sampler, self.box_sampler
        return {
            "loss_classifier": boxes.num_sampled,
            "loss_box_reg": boxes.num_sampled,
            "loss_mask": boxes.num_positive,
            "loss_objectness": anchors.num_sampled,
            "loss_rpn_box_reg": anchors.num_sampled,
        }

    def _take_chances(self, targets: list[Target]) -> None:
        """Hand the samplers the targets' chances, of this batch alone."""
        chances = [int(target["chance"]) for target in targets if "chance" in target]
        for sampler in (self.anchor_sampler, self.box_sampler):
            sampler.chances = chances if len(chances) == len(targets) else ()
