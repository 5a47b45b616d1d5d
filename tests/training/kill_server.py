"""Kills savers, and looks at what they leave: a process that has torch loaded and forks one that saves for each order.

Orders come as JSON lines on standard input: {"folder", "megabytes", and either "delay" (seconds until SIGKILL) or
"place" and "at" (where it kills itself)}; each is answered by a JSON line on standard output.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import torch

from lambdanets.faults import Fault, arm
from lambdanets.training.checkpoint import CheckpointConfig, best_checkpoint, load_checkpoint, load_newest
from lambdanets.training.saver import Saver

TENSORS = 5


def state(step: int, megabytes: int) -> dict:
    numbers = megabytes * 2**18 // TENSORS
    return {"step": step, "model": {str(place): torch.full((numbers,), float(step)) for place in range(TENSORS)}}


def is_that_of_its_step(loaded: dict) -> bool:
    return all((tensor == loaded["step"]).all() for tensor in loaded["model"].values())


def score_of(step: int) -> float:
    """Every other step is the best so far, so that the newest and the best differ half of the time."""
    return float(step if step % 2 else 0)


def save_until_killed(order: dict, said: int) -> None:
    """The child: clear up, resume, save on and on. Tells b (begun) and the step before a save, d after it."""
    folder = Path(order["folder"])
    saver = Saver(folder, CheckpointConfig(), tell=lambda text: os.abort())
    loaded, _ = load_newest(folder)
    left_over = len(list(folder.glob("*.tmp")))
    os.write(said, b"leftovers %d\n" % left_over)
    step = loaded["step"] if loaded else 0
    if "place" in order:
        arm([Fault(place=order["place"], action="kill", at=order["at"])])
    os.write(said, b"ready 0\n")
    while True:
        step += 1
        os.write(said, b"begun %d\n" % step)
        saver.save(step, state(step, order["megabytes"]), score=score_of(step))
        os.write(said, b"done %d\n" % (step - 1))  # a save waits for the one before


def obey(order: dict) -> dict:
    """Fork, wait for or cause the kill, look; what was found."""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(heard)
        try:
            save_until_killed(order, said)
        finally:
            os._exit(3)
    os.close(said)
    told = os.fdopen(heard, "rb")
    words = {"done": 0}
    while "ready" not in words and (line := told.readline()):
        note(line, words)
    if "delay" in order:
        time.sleep(order["delay"])
        os.kill(child, signal.SIGKILL)
    for line in told:
        note(line, words)
    told.close()
    _, status = os.waitpid(child, 0)
    return {"killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, **words, **look(order)}


def note(line: bytes, words: dict) -> None:
    name, number = line.split()
    words[name.decode()] = int(number)


def look(order: dict) -> dict:
    """What can be loaded after the kill, before anything is cleared up."""
    folder = Path(order["folder"])
    newest, complaints = load_newest(folder)
    found = best_checkpoint(folder)
    best = load_checkpoint(found[0]) if found else None
    return {
        "newest": newest["step"] if newest else 0,
        "sound": newest is None or is_that_of_its_step(newest),
        "complaints": complaints,
        "best": best["step"] if best else 0,
        "best_is_sound": best is None or (is_that_of_its_step(best) and found[1] == score_of(best["step"])),
        "drafts": len(list(folder.glob("*.tmp"))),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(obey(json.loads(line))), flush=True)
