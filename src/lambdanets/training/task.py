"""What the loop needs to know of a problem. Anything of these shapes can be trained."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from torch import Tensor, nn

from lambdanets.preprocess import Preprocess
from lambdanets.training.distributed import Ranks

if TYPE_CHECKING:
    from lambdanets.training.config import Config

Split = Literal["validation", "test"]
Batch = TypeVar("Batch")


class Task(Protocol[Batch]):
    """Data, network, loss and judgement of one problem."""

    @property
    def num_samples(self) -> int:
        """Training samples in one epoch."""
        ...

    @property
    def score(self) -> str:
        """Which of the numbers of `evaluate` says how good the model is: 0…1, more is better."""
        ...

    @property
    def split(self) -> Split:
        """What the finished model is judged on: validation where samples were held out, otherwise test."""
        ...

    def build_model(self) -> nn.Module:
        """A fresh network of the right inputs and outputs; the same for the same seed."""
        ...

    def example(self) -> Batch:
        """Two training samples, to try a network on; made here and now, whatever makes the others."""
        ...

    def batches(self, first_step: int, stopped: Callable[[], bool] = lambda: False) -> Generator[Batch, None, None]:
        """This process's share of steps first_step, first_step + 1, … without end, a pure function of seed and step.

        A wait for a batch ends with InterruptedError soon after `stopped` becomes true. Close it to end its workers:
        what happens meanwhile, such as Ctrl-C, is lost if the garbage collector has to do it.
        """
        ...

    def parts(self, batch: Batch, count: int) -> list[Batch]:
        """A batch cut into `count` parts of about the same size."""
        ...

    def size(self, part: Batch) -> int:
        """Samples of a batch or of a part of one."""
        ...

    def notes(self, batch: Batch) -> Sequence[str]:
        """What could not be read of a batch, a sentence a sample."""
        ...

    def loss(self, model: nn.Module, part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """(the scalar to minimise, numbers worth writing down), both means over the part's samples.

        A number named `unreadable` is the share of the samples that could not be read.
        """
        ...

    def evaluate(self, model: nn.Module) -> Mapping[str, float]:
        """Numbers that say how good the model is on `split`, the same on every process."""
        ...


class TaskConfig(Protocol):
    """The part of a config that says which task, and how it is taught: a frozen dataclass."""

    def build(self, config: "Config", ranks: Ranks) -> Task[Any]:
        """The task of a whole config for one of several processes, its data loaded."""
        ...


class DataConfig(Protocol):
    """The part of a config that says which data: a frozen dataclass that the task knows how to use."""

    @property
    def preprocess(self) -> Preprocess:
        """What every image goes through before the network."""
        ...

    def load(self) -> Any:
        """The data; what it is, is between this class and the task."""
        ...
