"""Detection and instance segmentation: torchvision's Mask R-CNN on the networks of this package."""

from lambdanets.detection.backbone import begin_from as begin_from
from lambdanets.detection.detector import Detector as Detector
from lambdanets.detection.detector import create_detector as create_detector
from lambdanets.detection.options import DetectorOptions as DetectorOptions
