"""The recipe of the controlled study of long range: which marks are alike?"""

from lambdanets.data.like_marks import LikeMarksConfig
from lambdanets.training.average import AverageConfig
from lambdanets.training.classification import ClassificationConfig
from lambdanets.training.config import Config
from lambdanets.training.optimizer import OptimizerConfig
from lambdanets.training.schedule import ScheduleConfig


def long_range() -> Config:
    """A small network on 12 800 generated pictures: do like marks stand side by side, or one above the other?

    `model` is one of the probe networks, which differ only in how their positions mix: probe_convolution,
    probe_dilated, probe_se, probe_linear_attention, probe_attention, probe_axial_attention, probe_local_attention or
    probe_lambda. `lambdanets study long-range` trains them all.

    Command: lambdanets train long_range --out RUN --set model=probe_attention
    Machine: one core of x86-64, no GPU
    Time: one to seven minutes by network
    Expected: about 100 % or about 50 % by network: docs/long-range.md
    Measured: 2026-11-28, one core of an AMD EPYC, seeds 0, 1, 2: probe_dilated, probe_lambda and probe_axial_attention
        100 % each, probe_attention 100, 50 and 100 %, all others 49 to 50 %
    """
    return Config(
        recipe="long_range",
        model="probe_lambda",
        data=LikeMarksConfig(),
        task=ClassificationConfig(label_smoothing=0.0),
        batch_size=32,
        epochs=1,
        optimizer=OptimizerConfig(name="adamw", learning_rate=4e-3, weight_decay=0.05, clip_norm=1.0),
        schedule=ScheduleConfig(warmup_fraction=0.2, warmup_shape="cosine", start_factor=0.04, final_factor=1e-4),
        average=AverageConfig(decay=0.98),
        num_threads=1,
    )
