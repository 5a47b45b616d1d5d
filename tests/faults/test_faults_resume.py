"""R5: SIGKILL at any step; the resumed run ends with the bits of the undisturbed one, whoever makes batches."""

from functools import cache
from itertools import product
from pathlib import Path

import pytest
from served import FaultServer, fault, fingerprint

STEPS = 24
SHORT = ["batch_size=8", f"epochs={STEPS * 8 / 1287}", "num_threads=1", "checkpoint.every_steps=5"]
STORED = ["data.image_size=32", "data.flip=0", "data.min_area=0.5", "data.rand_augment_layers=2"]
FEATURES = {
    "average": ["average.decay=0.95"],
    "parts": ["micro_batch_size=3"],
    "warm-up": ["schedule.warmup_fraction=0.5"],
    "rand-augment": STORED,
}
WORKERS = [(0, 0), (2, 2), (0, 2), (2, 0)]
"""How many before the kill, and after it."""
EVERY = list(product(FEATURES, WORKERS, range(1, STEPS + 1)))
SAMPLE = [case for number, case in enumerate(EVERY) if number % 67 == 3]


class Runs:
    """Undisturbed runs, each made once."""

    def __init__(self, server: FaultServer, folder: Path, tree: Path) -> None:
        self.server, self.folder, self.tree = server, folder, tree
        self.undisturbed = cache(self._undisturbed)

    def data(self, feature: str) -> Path | None:
        return self.tree if feature == "rand-augment" else None

    def _undisturbed(self, feature: str) -> str:
        path = self.folder / feature
        return fingerprint(self.server.train(path, [*SHORT, *FEATURES[feature]], data=self.data(feature)))

    def killed(self, path: Path, feature: str, workers: tuple[int, int], step: int) -> str:
        """Killed after it has taken this many steps, then resumed to the end."""
        settings, data = [*SHORT, *FEATURES[feature]], self.data(feature)
        before, after = ([*settings, f"loader.workers={count}"] for count in workers)
        kill = fault("step: average", "kill", at=step)
        assert self.server.train(path, before, data=data, faults=[kill]).code == -9
        return fingerprint(self.server.train(path, after, data=data))


@pytest.fixture(scope="module")
def runs(server: FaultServer, tmp_path_factory: pytest.TempPathFactory, digits_tree: Path) -> Runs:
    return Runs(server, tmp_path_factory.mktemp("undisturbed"), digits_tree)


@pytest.mark.parametrize(("feature", "workers", "step"), SAMPLE)
def test_killed_at_a_step_it_resumes_to_the_same_bits(
    runs: Runs, tmp_path: Path, feature: str, workers: tuple[int, int], step: int
) -> None:
    assert runs.killed(tmp_path / "run", feature, workers, step) == runs.undisturbed(feature)


@pytest.mark.faults
@pytest.mark.parametrize("workers", WORKERS, ids=str)
@pytest.mark.parametrize("feature", FEATURES)
def test_killed_at_every_step_it_resumes_to_the_same_bits(
    runs: Runs, tmp_path: Path, feature: str, workers: tuple[int, int]
) -> None:
    for step in range(1, STEPS + 1):
        assert runs.killed(tmp_path / str(step), feature, workers, step) == runs.undisturbed(feature), step
