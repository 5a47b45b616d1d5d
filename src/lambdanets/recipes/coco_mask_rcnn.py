"""The paper's recipe for detection and instance segmentation on COCO."""

from lambdanets.data.coco import CocoConfig
from lambdanets.data.loader import LoaderConfig
from lambdanets.detection.options import DetectorOptions
from lambdanets.detection.task import DetectionConfig
from lambdanets.recipes.machine import best_device, spare_cores
from lambdanets.training.average import AverageConfig
from lambdanets.training.checkpoint import CheckpointConfig
from lambdanets.training.config import Config
from lambdanets.training.optimizer import OptimizerConfig
from lambdanets.training.precision import PrecisionConfig
from lambdanets.training.schedule import ScheduleConfig

STEPS, WARMUP_STEPS = 130_000, 1000
BATCH = 256
PEAK = 0.32
"""Learning rate for a batch of 256; other batches scale it."""
PICTURES = 117_266
"""Training pictures of COCO 2017 with objects."""


def coco_mask_rcnn(
    *,
    init: str = "",
    model: str = "lambda_resnet101",
    image_size: int = 1024,
    batch_size: int = BATCH,
    epochs: float = STEPS * BATCH / PICTURES,
) -> Config:
    """Mask R-CNN on a LambdaResNet, 1024 pixels, scale jitter 0.1 to 2, 130 000 steps of 256 pictures.

    From scratch, as in the paper; or from a classifier: `task.init` is a finished run, or its .safetensors file. The
    batch, not the number of processes, defines the recipe: micro_batch_size says how many pictures a process takes at
    once. An average of the weights is kept with average.decay=0.9998.

    Command: lambdanets train coco_mask_rcnn --data COCO --set task.init=RUN --out DETECTOR
    Machine: GPUs, the more the better; the paper had TPUs
    Time: not measured; the paper tells none
    Expected: box AP (small, medium, large) and mask AP by the paper: lambda_resnet101 49.4 (31.7, 52.2, 65.6) and 43.5
        (25.9, 46.5, 60.8); lambda_resnet152 50.0 (31.8, 53.4, 67.0) and 43.9 (25.5, 47.3, 62.0)
    Measured: not measured: needs COCO
    """
    return Config(
        recipe="coco_mask_rcnn",
        model=model,
        data=CocoConfig(image_size=image_size, jitter=(0.1, 2.0), flip=0.5),
        task=DetectionConfig(
            init=init, detector=DetectorOptions(min_size=image_size, max_size=image_size, scale_training=False)
        ),
        batch_size=batch_size,
        micro_batch_size=2,
        epochs=epochs,
        optimizer=OptimizerConfig(name="sgd", learning_rate=PEAK * batch_size / BATCH, weight_decay=4e-5, momentum=0.9),
        schedule=ScheduleConfig(
            warmup_fraction=WARMUP_STEPS / STEPS, warmup_shape="linear", start_factor=0.0, fall_shape="steps"
        ),
        average=AverageConfig(decay=None),
        checkpoint=CheckpointConfig(every_steps=500),
        judge_every_epochs=10,
        precision=PrecisionConfig(dtype="bfloat16", channels_last=True),
        loader=LoaderConfig(workers=spare_cores()),
        device=best_device(),
    )
