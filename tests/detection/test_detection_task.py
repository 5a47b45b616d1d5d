"""Detection on the training loop: several processes learn what one does, and a run goes on where it stopped."""

import json
import os
import socket
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp

from lambdanets.data.digit_scenes import SceneConfig
from lambdanets.data.scene_folder import write_scenes
from lambdanets.detection.task import DetectionTask
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.config import Config
from lambdanets.training.distributed import ALONE, Ranks, joined_ranks
from lambdanets.training.folder import RunFolder
from lambdanets.training.host import Watcher
from lambdanets.training.journal import read_journal
from lambdanets.training.override import with_assignments
from lambdanets.training.run import begin_run, finish_run, prepare_run, resume_run, train_run

STEPS = 20
FEW = [
    *("num_threads=1", "batch_size=4", f"epochs={STEPS * 4 / 16}", "data.num_train=16", "data.num_test=4"),
    *("data.largest=40", "data.image_size=64", "task.detector.min_size=64", "task.detector.max_size=64"),
    *("task.detector.pyramid_dim=16", "task.detector.box_dims=16", "task.detector.box_hidden=16"),
    *("task.detector.mask_dims=16", "task.detector.anchors_sampled=16", "task.detector.boxes_sampled=12"),
    "precision.dtype=float64",
]


def config(*changes: str) -> Config:
    return with_assignments(find_recipe("digit_scenes"), [*FEW, *changes])


def train(ranks: Ranks, path: Path, until: int = STEPS, *changes: str) -> None:
    """Begin or resume the run in a folder and train it up to a step; judge it at its end."""
    run, folder = prepare_run(config(*changes), ranks), RunFolder(path)
    if ranks.from_first(folder.config.exists):  # the first process writes it when it begins
        resume_run(run, folder)
    else:
        begin_run(run, path)
    if train_run(run, folder, Watcher(stop=lambda: run.state.step >= until)):
        finish_run(run, folder)


def as_process(number: int, root: Path, port: int) -> None:
    """One of two processes, which train together and then, from the same checkpoint, apart."""
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with ExitStack() as held:
        ranks = held.enter_context(joined_ranks())
        train(ranks, root / "two")
        train(ranks, root / "resumed", 7)
    if number == 0:
        train(ALONE, root / "one")
        train(ALONE, root / "resumed")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all runs are."""
    root = tmp_path_factory.mktemp("runs")
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    mp.spawn(as_process, (root, port), nprocs=2)
    return root


def losses(path: Path) -> torch.Tensor:
    """Every loss of every step."""
    steps = [record for record in read_journal(RunFolder(path).metrics) if record["event"] == "step"]
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    assert RunFolder(path).result.exists()
    names = ("loss", "loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg")
    rows = [[float(record[name] or 0) for name in (*names, "gradient_norm")] for record in steps]
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("name", ["two", "resumed"])
def test_two_processes_learn_what_one_does(root: Path, name: str) -> None:
    expected, found = losses(root / "one"), losses(root / name)
    assert (expected > 0).all()
    assert ((found - expected).abs() / expected).max() <= 1e-10


def test_what_cannot_be_read_teaches_nothing() -> None:
    task = config().task.build(config(), ALONE)
    assert isinstance(task, DetectionTask)
    model = task.build_model()
    losses: list[float] = []
    for weights in (torch.ones(4), torch.tensor([1.0, 1, 1, 0]), torch.zeros(4)):
        unread = task._given(task.train.plain(np.arange(4))._replace(weights=weights), 0)
        loss, told = task.loss(model, unread)
        loss.backward()
        losses.append(float(loss.detach()))
        assert float(told["unreadable"]) == float((weights == 0).float().mean())
    assert losses[2] == 0
    assert losses[0] != losses[1] > 0


def test_what_is_left_out_of_a_folder_is_told_once_and_the_rest_is_learned(tmp_path: Path) -> None:
    write_scenes(SceneConfig(num_train=8, num_test=2), tmp_path / "coco")
    file = tmp_path / "coco" / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    content["annotations"][0] |= {"bbox": [10, 10, 0, 5]}
    file.write_text(json.dumps(content))
    small = [setting for setting in FEW if setting.startswith("task.detector") and "size" not in setting]
    given = [f"data.path={tmp_path / 'coco'}", "data.max_bad=0.5", "data.image_size=96", "model=lambda_scenes", *small]
    wanted = ("batch_size=4", "num_threads=1", "device=cpu", "precision.dtype=float32", "loader.workers=0")
    config = with_assignments(find_recipe("coco_mask_rcnn"), [*given, *wanted])
    with pytest.warns(UserWarning, match=r"1 of \d+ pictures and objects are bad .* and left out") as told:
        task = config.task.build(config, ALONE)
    assert len(told) == 1
    loss, _ = task.loss(task.build_model(), next(task.batches(0)))
    assert loss > 0
