"""Where `lambdanets selftest` lets its trainings run: small ones, in processes of their own, in a temporary folder."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from lambdanets.cli.entry import main
from lambdanets.cli.forked import Ended, Trial
from lambdanets.data.stored import StoredConfig
from lambdanets.faults import Fault, arm
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.checkpoint import load_newest
from lambdanets.training.config import Config
from lambdanets.training.distributed import joined_ranks
from lambdanets.training.fingerprint import fingerprint
from lambdanets.training.folder import RunFolder
from lambdanets.training.host import Watcher
from lambdanets.training.journal import read_journal
from lambdanets.training.override import with_assignments
from lambdanets.training.run import begin_run, prepare_run, resume_run, train_run

STEPS = 8
SAMPLES = 1287
"""Training pictures of the digits."""


class NotSurvivedError(Exception):
    """What was required did not happen; what did."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Makes trainings of a few steps, disturbed and undisturbed."""

    folder: Path
    _undisturbed: dict[tuple[str, ...], str] = field(default_factory=dict)

    def begin(self) -> None:
        """Load here, once, what each training needs. No gradient is computed: they are forked from this process."""
        torch.set_num_threads(1)
        prepare_run(_config([], None))

    def train(self, path: Path, settings: Sequence[str] = (), *faults: Fault, data: Path | None = None) -> Ended:
        """Begin or resume a run in one process."""
        return self.train_together(1, path, settings, *faults, data=data)[0]

    def train_together(
        self, count: int, path: Path, settings: Sequence[str] = (), *faults: Fault, data: Path | None = None
    ) -> list[Ended]:
        """Begin or resume a run in several processes."""
        port = str(_free_port())
        trials = []
        for rank in range(count):
            own = {
                "RANK": rank,
                "LOCAL_RANK": rank,
                "WORLD_SIZE": count,
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
            }
            variables = {name: str(value) for name, value in own.items()} if count > 1 else {}
            output = self.folder / f"output-{rank}"
            trials.append(Trial(lambda: _train(path, _config(settings, data), faults), output, variables))
        return [trial.end() for trial in trials]

    def command(self, words: Sequence[str], *faults: Fault) -> Ended:
        """A whole command line."""

        def act() -> int:
            """In the process."""
            arm(faults)
            return main(words)

        return Trial(act, self.folder / "output").end()

    def train_command(self, path: Path, *faults: Fault) -> Ended:
        """`lambdanets train` of the same run."""
        words = [word for setting in _SETTINGS for word in ("--set", setting)]
        return self.command(["train", "digits", "--out", str(path), *words], *faults)

    def check_same_bits(self, ended: Ended, settings: Sequence[str] = (), data: Path | None = None) -> None:
        """NotSurvivedError unless a run came to what the undisturbed one comes to."""
        key = (*settings, str(data))
        if key not in self._undisturbed:
            path = self.folder / f"undisturbed-{len(self._undisturbed)}"
            self._undisturbed[key] = _result(self.train(path, settings, data=data))
        require(_result(ended) == self._undisturbed[key], "the run ended with other weights than the undisturbed one")


def require(holds: bool, otherwise: str) -> None:
    """NotSurvivedError with these words unless it holds."""
    if not holds:
        raise NotSurvivedError(otherwise)


def steps_kept(path: Path) -> tuple[int, int]:
    """(steps that a run has taken, steps that its newest checkpoint holds); 0 before the first."""
    folder = RunFolder(path)
    newest, _ = load_newest(folder.checkpoints)
    taken = [int(record["step"] or 0) for record in read_journal(folder.metrics) if record["event"] == "step"]
    return max(taken, default=0), newest["step"] if newest else 0


_SETTINGS = ("batch_size=8", f"epochs={STEPS * 8 / SAMPLES}", "num_threads=1", "checkpoint.every_steps=2")


def _config(settings: Sequence[str], data: Path | None) -> Config:
    config = find_recipe("digits")
    if data is not None:
        pictures = StoredConfig(path=str(data), image_size=32, flip=0, mean=(0.5,), std=(0.25,))
        config = replace(config, data=pictures, epochs=1)
        return with_assignments(config, [*_SETTINGS[:1], *_SETTINGS[2:], *settings])
    return with_assignments(config, [*_SETTINGS, *settings])


def _train(path: Path, config: Config, faults: Sequence[Fault]) -> int:
    """In the process: the steps that are left; what the run came to is the last word of what is printed."""
    torch.set_num_threads(1)
    arm(faults)
    with joined_ranks() as ranks:
        run, folder = prepare_run(config, ranks), RunFolder(path)
        if folder.config.exists():
            print(*resume_run(run, folder), sep="\n")
        else:
            begin_run(run, path)
        if not train_run(run, folder, Watcher(tell=print)):
            return 1
        print(fingerprint(run.state))
    return os.EX_OK


def _result(ended: Ended) -> str:
    require(ended.code == 0, f"the run ended with {ended.code}: {' '.join(ended.said.split())[-200:]}")
    return ended.said.split()[-1]


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
