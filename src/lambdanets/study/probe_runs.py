"""A probe network trained on one of the two tasks of the long-range part, and how often it is right by distance."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from lambdanets.data.like_marks import FORM, LikeMarksSplit
from lambdanets.finished import FinishedRun, load_run
from lambdanets.models.counting import count_parameters
from lambdanets.study.part import Answer
from lambdanets.study.trained import trained


@dataclass(frozen=True, kw_only=True)
class ProbeRun:
    """One training of one network."""

    recipe: str
    """long_range or digits."""
    model: str
    """Name of the network."""
    model_options: Mapping[str, Any]
    seed: int
    changes: tuple[str, ...] = ()
    """Further assignments, e.g. "data.num_train=6400"."""

    @property
    def key(self) -> str:
        """Names the run, and the form of the task where it has had several."""
        options = "".join(f"-{name}-{value}" for name, value in self.model_options.items())
        changed = "".join(f"-{change.rpartition('.')[2].replace('=', '-')}" for change in self.changes)
        form = f"-{FORM}" if self.recipe == "long_range" else ""
        return f"{self.recipe}{form}-{self.model}{options}{changed}-seed-{self.seed}"

    @property
    def assignments(self) -> list[str]:
        """What is set of the recipe."""
        options = [f"model_options.{name}={_word(value)}" for name, value in self.model_options.items()]
        return [f"model={self.model}", f"seed={self.seed}", *options, *self.changes]


def answer_of(*, path: str, recipe: str, assignments: list[str], device: str) -> Answer:
    """How good the network is, trained in the folder `path` or found there."""
    folder = trained(Path(path), recipe, [*assignments, f"device={device}"])
    run = load_run(folder)
    right = np.concatenate([_right(run, places) for places in _batches(len(run.task.judged))])
    answer = {"parameters": count_parameters(run.model), "accuracy": float(right.mean()), "judged": len(right)}
    if isinstance(run.task.judged, LikeMarksSplit):
        distances = run.task.judged.distance(np.arange(len(right)))
        answer["by_distance"] = {str(d): float(right[distances == d].mean()) for d in sorted(set(distances.tolist()))}
    return answer


@torch.no_grad()
def _right(run: FinishedRun, places: NDArray[np.int64]) -> Float[NDArray, " b"]:
    batch = run.task.judged.plain(places)
    return (run.logits(run.task.as_input(batch.images)).argmax(1).cpu() == batch.labels).double().numpy()


def _batches(count: int) -> list[NDArray[np.int64]]:
    return np.array_split(np.arange(count), -(-count // 250))


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
