"""Detection and instance segmentation: LambdaResNets as backbones of torchvision's Mask R-CNN."""
