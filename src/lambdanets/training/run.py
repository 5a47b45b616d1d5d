"""A whole run: prepare, train, judge once, and leave a folder that says everything.

`prepare_run` writes nothing, so a mistake in the config costs nothing; then `begin_run` (or `resume_run`), `train_run`
and `finish_run`, in this order.
"""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lambdanets.models import count_parameters, save_weights
from lambdanets.training.checkpoint import remove_drafts
from lambdanets.training.config import Config
from lambdanets.training.curves import draw_curves, spoken
from lambdanets.training.distributed import ALONE, Ranks
from lambdanets.training.environment import describe_environment
from lambdanets.training.folder import RunFolder, check_places, create_run_folder, write_json
from lambdanets.training.host import UNWATCHED, RunHost, Watcher, load_for_all, remembered_micro_batch
from lambdanets.training.journal import Journal, Record, read_journal
from lambdanets.training.judging import judge
from lambdanets.training.loop import fit
from lambdanets.training.override import to_json
from lambdanets.training.soundness import write_result
from lambdanets.training.state import TrainingState
from lambdanets.training.task import Task
from lambdanets.training.tensorboard import check_log


@dataclass(frozen=True, kw_only=True)
class Run:
    """A config brought to life: data loaded, network built, nothing trained or written yet."""

    config: Config
    task: Task[Any]
    state: TrainingState
    ranks: Ranks = ALONE

    @property
    def num_steps(self) -> int:
        """Optimizer steps from beginning to end."""
        return self.config.num_steps(self.task.num_samples)


def prepare_run(config: Config, ranks: Ranks = ALONE) -> Run:
    """The run of a config, at step 0. Sets the number of CPU threads of this process to the config's.

    Raises:
        ValueError: a model, option, device or extra that is not there, or settings with which no step can be taken.
    """
    check_device(config.device)
    check_log(config.log)
    torch.set_num_threads(config.num_threads)
    task = config.task.build(config, ranks)
    if config.batch_size > task.num_samples:
        raise ValueError(f"batch_size: got {config.batch_size}, wanted 2 to {task.num_samples}, the training samples.")
    if config.batch_size < 2 * ranks.count:
        raise ValueError(f"batch_size: got {config.batch_size}, wanted {2 * ranks.count} or more: two a process.")
    try:
        model = task.build_model()
        state = TrainingState.begin(model, config)
        try_one_batch(task, model)
    except (TypeError, RuntimeError, MemoryError) as error:
        raise ValueError(
            f"with these settings no step can be taken ({_first_line(error)}): change model, model_options or data, "
            "or take a smaller batch_size."
        ) from error
    return Run(config=config, task=task, state=state, ranks=ranks)


@torch.no_grad()
def try_one_batch(task: Task[Any], model: nn.Module) -> None:
    """Show a copy of the model two samples: what does not fit together fails here, before anything is written."""
    task.loss(copy.deepcopy(model), task.example())


def begin_run(run: Run, path: Path) -> RunFolder:
    """A new folder that holds the run's config and environment.

    Raises:
        ValueError: the folder holds something already, or cannot be written.
    """

    def begin() -> RunFolder:
        """On the first process."""
        folder = create_run_folder(path)
        write_json(folder.environment, describe_environment())  # before the config, which makes the folder a run
        if names := getattr(run.task, "class_names", ()):
            write_json(folder.classes, getattr(run.task, "categories", names))
        write_json(folder.config, to_json(run.config))
        return folder

    return run.ranks.from_first(begin)


def resume_run(run: Run, folder: RunFolder) -> list[str]:
    """Bring the run to the newest checkpoint that can be trusted; what there is to say about that, in sentences.

    Raises:
        ValueError: a checkpoint that is not of this config's network or lies past its end; a file of the run is
            damaged, or something else stands in its place. Nothing is changed then.
    """
    run.ranks.from_first(lambda: _check_files(folder))
    captured, notes = load_for_all(folder, run.ranks)
    if captured is None:
        notes.append(f"{folder.path} has no checkpoint: starting from the beginning.")
    else:
        _restore(run, captured, folder)
        notes.append(f"Resumed at step {run.state.step} of {run.num_steps}.")
    run.state.rollbacks = run.ranks.from_first(lambda: _rewound(folder, run.state.step))
    return notes


def _rewound(folder: RunFolder, step: int) -> int:
    """Make the journal end with this step; how often the run went back to it or before, perhaps unsaved since."""
    Journal(folder.metrics).rewind(step)
    return sum(record["event"] == "rollback" for record in read_journal(folder.metrics))


def _check_files(folder: RunFolder) -> None:
    """ValueError for a damaged file of the run; what a crash left half-written goes."""
    check_places(folder)
    read_journal(folder.metrics)
    remove_drafts(folder.checkpoints)


def train_run(run: Run, folder: RunFolder, watcher: Watcher = UNWATCHED) -> bool:
    """Train until the end (True), or until the watcher or its clock says so (False)."""
    if (fewer := remembered_micro_batch(folder)) is not None:
        run.state.micro_batch_size = min(run.state.micro_batch_size, fewer)
    host = RunHost(folder=folder, config=run.config, ranks=run.ranks, watcher=watcher)
    with host:
        return fit(run.state, run.task, run.config, ranks=run.ranks, host=host)


def finish_run(run: Run, folder: RunFolder, tell: Callable[[str], None] = lambda sentence: None) -> Record:
    """Judge the averaged weights, once, and write weights, curves and result; the result is written last."""
    model = run.state.average.model
    run.ranks.share(list(model.buffers()))  # the first process's, where each has norms of its own
    scores = run.state.judgement = judge(run.state, run.task, tell=tell, stopped=lambda: False)
    return run.ranks.from_first(lambda: _write_result(run, folder, scores))


def _write_result(run: Run, folder: RunFolder, scores: Mapping[str, float]) -> Record:
    config, split = run.config, run.task.split
    records = read_journal(folder.metrics)
    seconds = sum(float(record.get("seconds") or 0) for record in records if record.get("event") == "step")
    result: Record = {f"{split}_{name}": value for name, value in scores.items()}
    result |= {"recipe": config.recipe, "model": config.model, "parameters": count_parameters(run.state.model)}
    result |= {"seed": config.seed, "steps": run.state.step, "train_seconds": round(seconds, 1)}
    result |= {"num_threads": config.num_threads}
    save_weights(run.state.average.model, folder.weights)
    found = f"{split} {spoken(run.task.score)} {scores[run.task.score]:.2%}"
    title = f"{config.recipe}, {config.model}, seed {config.seed}: {found}"
    draw_curves(records, folder.curves, title=title)
    write_result(folder, result)
    return result


def read_result(folder: RunFolder) -> Record | None:
    """The result of a finished run; None while there is none.

    Raises:
        ValueError: the file is damaged.
    """
    if not folder.result.exists():
        return None
    try:
        result = json.loads(folder.result.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder.result} is damaged ({error}): {_AGAIN}") from error
    if not isinstance(result, dict) or not {"recipe", "parameters", "train_seconds"} <= result.keys():
        raise ValueError(f"{folder.result} is damaged (it lacks the fields of a result): {_AGAIN}")
    return result


_AGAIN = "remove it and give lambdanets train --resume, which judges the run again from its last checkpoint."


def _restore(run: Run, captured: dict[str, Any], folder: RunFolder) -> None:
    """Take the captured state over; ValueError if the config is not the one it was captured under."""
    way_out = f"put {folder.config.name} back as it was, or start a run in another folder."
    try:
        run.state.restore(captured)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder.checkpoints} holds another network or optimizer than {folder.config} describes: {way_out}"
        ) from error
    taken, wanted = run.state.step, run.num_steps
    if taken > wanted:
        raise ValueError(f"{folder.config} asks for {wanted} steps, but {folder.checkpoints} holds {taken}: {way_out}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def check_device(device: str) -> None:
    """Raise ValueError unless this machine has the device."""
    kind, _, number = device.partition(":")
    count = {"cpu": 1, "cuda": torch.cuda.device_count()}.get(kind, 0)
    if (number and not number.isdigit()) or int(number or 0) >= count:
        raise ValueError(f"device: got '{device}', which this machine does not have: use device=cpu.")
