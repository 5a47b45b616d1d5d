"""The faults that `lambdanets selftest` makes happen, each with what is required of the run it happens to."""

import multiprocessing
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lambdanets.cli.selftest_runs import STEPS, Bench, require, steps_kept
from lambdanets.faults import PLACES, Fault
from lambdanets.training.checkpoint import STATE, list_checkpoints
from lambdanets.training.folder import RunFolder
from lambdanets.training.interrupt import exit_code_of, stopping_signals
from lambdanets.training.journal import read_journal


@dataclass(frozen=True, kw_only=True)
class Injection:
    """One fault."""

    name: str
    try_it: Callable[[Bench, Path], str]
    """Makes it happen to a run in this folder, which is not there yet; what came of it, in a few words.

    Raises NotSurvivedError if that is not what is required."""
    only_long: bool = False
    """Whether the quick form leaves it out."""


def injections() -> list[Injection]:
    """All of them."""
    saves = [
        Injection(name=f"SIGKILL, {place}", try_it=partial(_killed_while_saving, place))
        for place in PLACES
        if place.startswith("save: ")
    ]
    kills = [
        Injection(name=f"SIGKILL at step {step}", try_it=partial(_killed_at, step), only_long=True)
        for step in range(1, STEPS + 1)
    ]
    signals = [
        Injection(
            name=signal.Signals(number).name, try_it=partial(_signalled, number), only_long=number != signal.SIGTERM
        )
        for number in stopping_signals()
    ]
    return [*saves, *kills, *signals, *_OTHERS]


def _killed_while_saving(place: str, bench: Bench, path: Path) -> str:
    at = 40 if "mid-write" in place else 2
    return _killed(Fault(place=place, action="kill", at=at), bench, path)


def _killed_at(step: int, bench: Bench, path: Path) -> str:
    return _killed(Fault(place="step: average", action="kill", at=step), bench, path)


def _killed(fault: Fault, bench: Bench, path: Path) -> str:
    ended = bench.train(path, (), fault)
    require(ended.code == -9, f"it was not killed, but ended with {ended.code}")
    _, kept = steps_kept(path)
    bench.check_same_bits(bench.train(path))
    return f"resumed at step {kept}, same bits"


def _signalled(number: int, bench: Bench, path: Path) -> str:
    name = signal.Signals(number).name
    ended = bench.train_command(path, Fault(place="step: backward", action=f"signal {name}", at=5))
    code = exit_code_of(number)
    require(ended.code == code, f"it ended with {ended.code}, wanted {code}")
    taken, kept = steps_kept(path)
    require(taken == kept, f"{taken - kept} steps were lost")
    bench.check_same_bits(bench.train(path))
    return f"saved, exit code {code}, 0 steps lost, same bits"


def _disk_full_once(bench: Bench, path: Path) -> str:
    ended = bench.train(path, (), Fault(place="save: mid-write", action="raise ENOSPC", at=5))
    require("Training goes on" in ended.said, "nothing was said of the save that failed")
    bench.check_same_bits(ended)
    return "told with the bytes needed and free; the next save was fine"


def _disk_full_for_good(bench: Bench, path: Path) -> str:
    ended = bench.train_command(path, Fault(place="save: mid-write", action="raise ENOSPC", at=60, times=10**6))
    require(ended.code == 74, f"it ended with {ended.code}, wanted 74")
    _, kept = steps_kept(path)
    bench.check_same_bits(bench.train(path))
    return f"exit code 74, step {kept} intact; resumed, same bits"


def _bit_rot(bench: Bench, path: Path) -> str:
    bench.train(path, (), Fault(place="step: forward", action="kill", at=6))
    newest = list_checkpoints(RunFolder(path).checkpoints)[0] / STATE
    content = bytearray(newest.read_bytes())
    content[random.Random(0).randrange(len(content))] ^= 1
    newest.write_bytes(content)
    require(bench.command(["verify", str(path)]).code == 1, "lambdanets verify did not notice")
    ended = bench.train(path)
    require("is not what was written" in ended.said, "resuming did not notice")
    bench.check_same_bits(ended)
    return "noticed; the checkpoint before stepped in, same bits"


def _bad_number(bench: Bench, path: Path) -> str:
    ended = bench.train(path, (), Fault(place="step: backward", action="nan", at=3))
    require(ended.code == 0, f"it ended with {ended.code}")
    bad = [record["step"] for record in _steps(path) if record["loss"] is None]
    require(bad == [3], f"counted as bad were the steps {bad}")
    return "the step changed nothing and was counted"


def _bad_numbers(bench: Bench, path: Path) -> str:
    ended = bench.train(path, (), Fault(place="step: gradient", action="inf", at=4, times=5))
    require("Went back to step 2, with half the learning rate" in ended.said, "it did not go back")
    require(ended.code == 0, f"it ended with {ended.code}")
    return "went back to step 2, half the learning rate, finished"


def _out_of_memory(bench: Bench, path: Path) -> str:
    ended = bench.train(path, (), Fault(place="step: forward", action="raise MemoryError", at=3))
    require("Memory ran out: 4 samples at once" in ended.said, "it did not take fewer samples at once")
    require(ended.code == 0, f"it ended with {ended.code}")
    return "4 samples at once in place of 8, as many a step"


def _dead_worker(bench: Bench, path: Path) -> str:
    settings = ("loader.workers=1",)
    ended = bench.train(path, settings, Fault(place="data: wait", action=_kill_worker, at=3))
    bench.check_same_bits(ended)
    return "replaced, no sample lost or doubled, same bits"


def _kill_worker(_: object) -> None:
    for child in multiprocessing.active_children():
        child.kill()


def _hostile_picture(bench: Bench, path: Path) -> str:
    data = path.with_name("pictures")
    if not data.exists():
        _write_pictures(data)
    ended = bench.train(path, (), data=data)
    require(ended.code == 0, f"it ended with {ended.code}: {ended.said[-200:]}")
    skipped = RunFolder(path).skipped.read_text(encoding="utf-8")
    require("broken.png" in skipped, f"skipped.txt says {skipped!r}")
    return "named in skipped.txt, the others trained on"


def _write_pictures(path: Path) -> None:
    """Forty noisy training pictures of two classes, one of them cut short: five batches of eight."""
    import numpy as np
    from PIL import Image

    dice = np.random.default_rng(0)
    for number in range(39):
        name = path / f"train/{number % 2}/{number:03d}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dice.integers(0, 255, (32, 32), dtype=np.uint8)).save(name)
    for split in ("train/0", "val/0", "val/1"):
        (path / split).mkdir(parents=True, exist_ok=True)
        whole = (path / "train/0/000.png").read_bytes()
        (path / split / "broken.png").write_bytes(whole[:300] if split == "train/0" else whole)


def _rank_death(bench: Bench, path: Path) -> str:
    death = Fault(place="step: backward", action="kill", at=4, rank=1)
    first, second = bench.train_together(2, path, (), death)
    require(second.code == -9, f"rank 1 was not killed, but ended with {second.code}")
    require(first.code != 0 and first.seconds < 60, f"rank 0 ended with {first.code} after {first.seconds:.0f} s")
    resumed = bench.train_together(2, path)
    whole = bench.train_together(2, path.with_name("whole"))
    require(all(ended.code == 0 for ended in (*resumed, *whole)), "started again, they did not finish")
    require(resumed[0].said.split()[-1] == whole[0].said.split()[-1], "they ended with other weights")
    return f"the other ended after {first.seconds - second.seconds:.0f} s; both started again, same bits"


def _steps(path: Path) -> list[dict]:
    return [dict(record) for record in read_journal(RunFolder(path).metrics) if record["event"] == "step"]


_OTHERS = [
    Injection(name="disk full, one save", try_it=_disk_full_once),
    Injection(name="disk full, for good", try_it=_disk_full_for_good),
    Injection(name="bit rot in the newest checkpoint", try_it=_bit_rot),
    Injection(name="NaN in a loss", try_it=_bad_number),
    Injection(name="infinite gradients, five in a row", try_it=_bad_numbers),
    Injection(name="out of memory", try_it=_out_of_memory),
    Injection(name="SIGKILL of a data worker", try_it=_dead_worker),
    Injection(name="a picture that is cut short", try_it=_hostile_picture),
    Injection(name="SIGKILL of one of two processes", try_it=_rank_death),
]
