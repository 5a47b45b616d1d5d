"""Runs parts of the package in processes forked from this warm one, which has torch loaded and computes nothing itself.

Orders come as JSON lines on standard input and are answered by JSON lines on standard output. An order has `do`, which
is one of `ACTIONS`, its arguments in `give`, the `faults` to arm, the number of `ranks`, the `signals` to send as pairs
of seconds and a name, and a `limit` in seconds. The answer is a list of how each rank ended.
"""

import dataclasses
import json
import multiprocessing
import os
import pty
import select
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import lambdanets.cli.app
import lambdanets.cli.choice
import lambdanets.cli.training
import lambdanets.report.write
from lambdanets.cli import main
from lambdanets.cli.forked import Ended, Trial
from lambdanets.data import workers
from lambdanets.data.stored import StoredConfig
from lambdanets.faults import Fault, arm
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.config import Config
from lambdanets.training.distributed import joined_ranks
from lambdanets.training.fingerprint import fingerprint
from lambdanets.training.folder import RunFolder
from lambdanets.training.host import Watcher
from lambdanets.training.override import with_assignments
from lambdanets.training.run import begin_run, prepare_run, resume_run, train_run

LOADED = (lambdanets.cli.app, lambdanets.cli.choice, lambdanets.cli.training, lambdanets.report.write)
"""What the children need is here already."""


def train(path: str, settings: list[str], data: str | None = None, watch: bool = True) -> None:
    """Begin or resume the run in a folder and take the steps that are left; prints its fingerprint."""
    with joined_ranks() as ranks:
        run, folder = prepare_run(configured(settings, data), ranks), RunFolder(Path(path))
        if ranks.from_first(folder.config.exists):  # the first process writes it when it begins
            print(*resume_run(run, folder), sep="\n")
        else:
            begin_run(run, folder.path)
        watcher = Watcher(tell=print) if watch else Watcher()
        assert train_run(run, folder, watcher)
        print(fingerprint(run.state))


def configured(settings: list[str], data: str | None) -> Config:
    """The digits' config, with pictures of files in place of those in memory where `data` names some."""
    config = find_recipe("digits")
    if data is not None:
        config = replace(config, data=StoredConfig(path=data, mean=(0.5,), std=(0.25,)))
    return with_assignments(config, settings)


def command(words: list[str]) -> int:
    """A whole command line."""
    return main(words)


def on_terminal(words: list[str], lines: int) -> int:
    """A command line on a terminal that is closed once its journal has so many lines."""
    pid, terminal = pty.fork()
    if pid == 0:
        renew_outputs()
        os._exit(main(words))
    journal = RunFolder(Path(words[words.index("--out") + 1])).metrics
    shown = b""
    while not journal.exists() or journal.read_text().count("\n") < lines:
        if select.select([terminal], [], [], 0.01)[0]:
            try:
                shown += os.read(terminal, 2**16)
            except OSError:  # it has ended
                break
    print(shown.decode())
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def into_closed_pipe(words: list[str]) -> int:
    """A command line of whose output only the beginning is read."""
    reading, writing = os.pipe()
    os.dup2(writing, 1)

    def read_the_beginning() -> None:
        """And go away."""
        os.read(reading, 1)
        os.close(reading)

    threading.Thread(target=read_the_beginning, daemon=True).start()
    renew_outputs()
    return main(words)


def renew_outputs() -> None:
    """Python's own objects for the outputs remember what these were when the process began."""
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))


ACTIONS: dict[str, Callable[..., Any]] = {
    "train": train,
    "command": command,
    "on_terminal": on_terminal,
    "into_closed_pipe": into_closed_pipe,
}


def obey(order: dict[str, Any]) -> list[Ended]:
    """Start the processes, send the signals, wait."""
    count = order.get("ranks", 1)
    variables = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    with tempfile.TemporaryDirectory() as outputs:
        trials = []
        for rank in range(count):
            own = {**variables, "RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {}
            trials.append(Trial(lambda: act(order), Path(outputs) / str(rank), own))
        for seconds, name in order.get("signals", []):
            time.sleep(seconds)
            for trial in trials:
                trial.send(name)
        return [trial.end(order.get("limit", 120.0)) for trial in trials]


def act(order: dict[str, Any]) -> int:
    """In the child."""
    torch.set_num_threads(1)
    arm([Fault(**fields) for fields in order.get("faults", [])])
    return ACTIONS[order["do"]](**order["give"]) or 0


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def warm_up() -> None:
    """Load what only the first of all runs would load: scikit-learn, and half of torch with its first optimizer."""
    torch.set_num_threads(1)
    prepare_run(configured(["num_threads=1"], None))


if __name__ == "__main__":
    warm_up()
    workers._context = lambda: multiprocessing.get_context("fork")  # nothing runs here that a fork could catch midway
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps([dataclasses.asdict(ended) for ended in obey(json.loads(line))]), flush=True)
