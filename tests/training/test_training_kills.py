"""R1: SIGKILL during a save, at every named place and at any moment; what is left always loads, and is the newest."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdanets.faults import PLACES

SAVE_PLACES = [place for place in PLACES if place.startswith("save: ")]
MEGABYTES = 20
RANDOM_KILLS = 200


class KillServer:
    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("kill_server.py"))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def answer(self) -> dict:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def kill_saver(self, folder: Path, **moment: object) -> dict:
        assert self.process.stdin is not None
        print(
            json.dumps({"folder": str(folder), "megabytes": MEGABYTES, **moment}), file=self.process.stdin, flush=True
        )
        return self.answer()


@pytest.fixture(scope="module")
def server() -> Iterator[KillServer]:
    server = KillServer()
    yield server
    server.process.communicate()


def check_nothing_is_lost(found: dict) -> None:
    assert found["killed"], found
    assert found["leftovers"] == 0, "a new start clears away what the last kill left"
    assert found["complaints"] == [], "the newest is whole"
    assert found["sound"], found
    assert found["best_is_sound"], found
    assert found["newest"] >= found["done"], "no save that ended is lost"
    assert found["newest"] >= found.get("begun", 1) - 2, "at most the save in progress is lost, and the one that waits"
    odd = found["newest"] - 1 + found["newest"] % 2
    assert found["best"] == max(odd, 0), "the best so far"


@pytest.mark.parametrize("place", SAVE_PLACES)
def test_a_kill_at_a_named_place_loses_at_most_the_save_in_progress(
    server: KillServer, tmp_path: Path, place: str
) -> None:
    steps = [0]
    for at in (3, 1, 2):
        found = server.kill_saver(tmp_path / "checkpoints", place=place, at=at * 100 if "mid-write" in place else at)
        check_nothing_is_lost(found)
        steps.append(found["newest"])
    assert steps == sorted(steps)
    assert steps[1] >= 1
    assert found["drafts"] == (0 if place == "save: after rename" else 1)


@pytest.mark.slow
def test_200_kills_at_any_moment_lose_nothing(server: KillServer, tmp_path: Path) -> None:
    dice = random.Random(0)
    found = [server.kill_saver(tmp_path / "checkpoints", delay=dice.uniform(0, 0.5)) for _ in range(RANDOM_KILLS)]
    for one in found:
        check_nothing_is_lost(one)
    steps = [one["newest"] for one in found]
    assert steps == sorted(steps)
    in_a_save = sum(one["drafts"] > 0 for one in found)
    print(f"\n{RANDOM_KILLS} kills, {in_a_save} in the middle of a save; {steps[-1]} steps saved, none lost")
    assert in_a_save >= RANDOM_KILLS // 4
