"""Judging a run while it goes on, or at its end: within the memory there is, and given up when someone asks to stop."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lambdanets.faults import reach
from lambdanets.training.memory import halved, is_out_of_memory, let_go
from lambdanets.training.state import TrainingState
from lambdanets.training.task import Task


def judge(
    state: TrainingState, task: Task[Any], *, tell: Callable[[str], None], stopped: Callable[[], bool]
) -> Mapping[str, float]:
    """What the task finds of the averaged weights; where memory runs out, again with half as many samples at once.

    Each process halves for itself: they exchange nothing until their shares are judged.

    Raises:
        InterruptedError: `stopped` became true.
        OutOfMemoryError: not even one sample at a time fits into memory.
    """
    model = state.average.model
    while True:
        given: list[int] = []
        try:
            with _watched(model, stopped, given):
                return task.evaluate(_InParts(model, state.judged_at_once) if state.judged_at_once else model)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        let_go(state.model_device)
        state.judged_at_once = halved(state.judged_at_once or max(given, default=1))
        tell(f"Memory ran out while judging: {state.judged_at_once} samples at once from now on.")


class _InParts(nn.Module):
    """A model that is given few samples at once, whatever it is called with: a tensor of images, or a list of them."""

    def __init__(self, model: nn.Module, samples: int) -> None:
        super().__init__()
        self.model, self._samples = model, samples

    def forward(self, images: Any) -> Any:
        """What the model says of all of them."""
        if isinstance(images, Tensor):
            return torch.cat([self.model(part) for part in images.split(self._samples)])
        starts = range(0, len(images), self._samples)
        return [said for start in starts for said in self.model(images[start : start + self._samples])]


@contextmanager
def _watched(model: nn.Module, stopped: Callable[[], bool], given: list[int]) -> Iterator[None]:
    """Within this block each call of the model looks first whether to go on, and notes how many samples it is given.

    Afterwards the model is in the mode it was in, whatever ended the block.
    """

    def look(_: nn.Module, called_with: tuple[Any, ...]) -> None:
        """Before each call."""
        if stopped():
            raise InterruptedError
        given.append(len(called_with[0]))
        reach("judge: forward", called_with)

    was_training, hook = model.training, model.register_forward_pre_hook(look)
    try:
        yield
    finally:
        hook.remove()
        model.train(was_training)
