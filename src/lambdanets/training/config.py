"""The whole description of a training run, as one frozen value.

A recipe makes it, `--set` changes it, `config.json` keeps it, and it is all that a run depends on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lambdanets.data.loader import LoaderConfig
from lambdanets.training.average import AverageConfig
from lambdanets.training.checkpoint import CheckpointConfig
from lambdanets.training.guard import GuardConfig
from lambdanets.training.optimizer import OptimizerConfig
from lambdanets.training.precision import PrecisionConfig
from lambdanets.training.schedule import ScheduleConfig
from lambdanets.training.task import DataConfig, TaskConfig
from lambdanets.training.tensorboard import LogConfig

Option = int | float | str | bool | None


@dataclass(frozen=True, kw_only=True)
class Config:
    """One training run."""

    recipe: str
    """Name of the recipe that this config began as."""
    seed: int = 0
    """Chooses the initial weights, the order of the samples and their augmentation; 0 or above."""
    model: str
    """Name of the network, as `lambdanets models` lists them."""
    model_options: Mapping[str, Option] = field(default_factory=dict)
    """Options of the network by name, e.g. `--set model_options.dim_key=8`."""
    data: DataConfig
    """Where the samples come from and how they are varied."""
    task: TaskConfig
    """What is learned, and by which loss."""
    batch_size: int = 64
    """Samples a step, of all processes together, 2 or more (BatchNorm needs two)."""
    micro_batch_size: int | None = None
    """Samples that a process takes at once, at most; what is beyond follows in further parts of the same step, each
    with norm statistics of its own. None: all its share, until memory asks for less."""
    epochs: float = 25
    """How often each training sample is seen, above 0; part of an epoch will do."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    average: AverageConfig = field(default_factory=AverageConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    judge_every_epochs: float | None = None
    """Epochs between judgements on the validation split, above 0; the best state is kept. None: judged at the end."""
    precision: PrecisionConfig = field(default_factory=PrecisionConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)
    sync_norm: bool = True
    """Whether BatchNorm counts the samples of all processes, so that the result does not depend on their number."""
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    log: LogConfig = field(default_factory=LogConfig)
    num_threads: int = 2
    """CPU threads, 1 to 1024. Another number gives other roundings, so it belongs to the run."""
    device: str = "cpu"
    """Where the network runs: cpu or cuda."""

    def __post_init__(self) -> None:
        """Refuse numbers that describe no run, NaN included."""
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: got {self.seed}, wanted 0 or above, below 2^63.")
        if self.batch_size < 2:
            raise ValueError(f"batch_size: got {self.batch_size}, wanted 2 or more: BatchNorm needs two.")
        if not 0 < self.epochs < 1e6:
            raise ValueError(f"epochs: got {self.epochs}, wanted a number above 0, below a million.")
        if self.micro_batch_size is not None and self.micro_batch_size < 1:
            raise ValueError(f"micro_batch_size: got {self.micro_batch_size}, wanted 1 or more, or none.")
        if self.judge_every_epochs is not None and not self.judge_every_epochs > 0:
            raise ValueError(f"judge_every_epochs: got {self.judge_every_epochs}, wanted a number above 0, or none.")
        if not 1 <= self.num_threads <= 1024:
            raise ValueError(f"num_threads: got {self.num_threads}, wanted 1 to 1024.")

    def num_steps(self, num_samples: int) -> int:
        """Optimizer steps of the whole run over `num_samples` training samples: at least one."""
        return max(1, round(self.epochs * num_samples / self.batch_size))

    def judges_after(self, step: int, num_samples: int) -> bool:
        """Whether the run is judged after this many steps: when another `judge_every_epochs` is full."""
        if self.judge_every_epochs is None:
            return False
        period = self.judge_every_epochs * num_samples / self.batch_size
        return int(step / period) > int((step - 1) / period)
