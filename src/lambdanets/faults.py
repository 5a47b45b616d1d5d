"""Faults on purpose: what a training survives is tried by making it happen, at a named place, the n-th time.

Nothing happens unless a fault is armed: `reach` is then one look into an empty dict. Armed is from Python (`armed`), or
for a process that is started by a test or by `lambdanets selftest`, on its command line; never by the environment:

    python -m lambdanets.faults '[{"place": "save: before rename", "action": "kill"}]' -- train digits --out runs/first
"""

import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PLACES = {
    "save: open": "a checkpoint's draft folder is made, its file not yet opened",
    "save: mid-write": "before each piece of a checkpoint's file is written; its bytes are the thing",
    "save: before fsync": "everything is written, nothing flushed to the disk",
    "save: before manifest": "the state is on the disk, its sum is not",
    "save: before rename": "the draft is whole, but does not have the checkpoint's name",
    "save: after rename": "the checkpoint has its name, the folder is not flushed, old ones are not removed",
    "data: wait": "the loop is about to wait for its next batch",
    "step: forward": "a batch is there, the network has not seen it; the batch is the thing",
    "step: backward": "the loss is there, no gradient is; the loss is the thing",
    "step: gradient": "every gradient is there, no weight has changed; the model is the thing",
    "ranks: sum": "numbers are about to be summed over several processes; they are the thing",
    "ranks: gradients": "gradients are about to be exchanged between processes, in the midst of the backward pass",
    "step: update": "the numbers are sound, the optimizer is about to change the weights; the model is the thing",
    "step: average": "the weights and their average have changed; the averaged model is the thing",
    "judge: forward": "the network is about to be judged on a batch; what it is called with is the thing",
}
"""Where a fault can be armed, and what has happened there."""

Action = str | Callable[[Any], object]
"""What happens: a callable is given the thing that is there. In words:

- `kill`, `stop`, `signal NAME`: this process sends itself SIGKILL, SIGSTOP or the signal of that name;
- `exit CODE`: it ends at once, without tidying up;
- `raise NAME`: an OSError of that errno name (ENOSPC, EDQUOT, EIO …), MemoryError, RuntimeError, or `torch OOM`;
- `nan`, `inf`: one number of what is there becomes that: of a tensor, a batch's first, a model's first gradient, or
  its first weight where it has none;
- `sleep SECONDS`: it takes that long.
"""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault: where, what, and when."""

    place: str
    """A key of `PLACES`."""
    action: Action
    """What happens there."""
    at: int = 1
    """The how-manieth time that the place is reached, 1 or more."""
    times: int = 1
    """How often in a row from then on, 1 or more."""
    rank: int | None = None
    """Only in the process of this rank (see `become_rank`); None: in each."""
    mark: str = ""
    """A file that is made when the fault strikes, and keeps it from striking again in processes that are restarted."""

    def __post_init__(self) -> None:
        """Refuse a fault that could never strike."""
        if self.place not in PLACES:
            raise ValueError(f"no place for a fault is called '{self.place}'; there are: {', '.join(PLACES)}.")
        if self.at < 1 or self.times < 1:
            raise ValueError(f"a fault strikes at the first time or later, once or more; got {self.at}, {self.times}.")
        if isinstance(self.action, str):
            _deed(self.action)


_ARMED: dict[str, list[Fault]] = {}
_REACHED: dict[str, int] = {}
"""How often each place that has a fault was reached since it was armed."""
_RANK: list[int] = []


def reach(place: str, thing: Any = None) -> None:
    """Say that a place of `PLACES` is reached, with the tensor or bytes that are there; strikes if that is armed."""
    if place in _ARMED:
        _strike(place, thing)


def _strike(place: str, thing: Any) -> None:
    _REACHED[place] = count = _REACHED.get(place, 0) + 1
    for fault in _ARMED[place]:
        here = fault.rank is None or fault.rank in _RANK
        if here and fault.at <= count < fault.at + fault.times and _first_time(fault.mark):
            (_deed(fault.action) if isinstance(fault.action, str) else fault.action)(thing)


def _first_time(mark: str) -> bool:
    if not mark:
        return True
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL, 0o644))
    except FileExistsError:
        return False
    return True


@contextmanager
def armed(place: str, action: Action, *, at: int = 1, times: int = 1) -> Iterator[None]:
    """Within this block, reaching `place` for the `at`-th time, and the `times` - 1 after it, has this consequence.

    Raises:
        ValueError: a place or an action that is none.
    """
    fault = Fault(place=place, action=action, at=at, times=times)
    arm([fault])
    try:
        yield
    finally:
        _disarm(fault)


def arm(faults: Sequence[Fault]) -> None:
    """Arm faults for as long as this process lives. A place counts anew from its first fault."""
    for fault in faults:
        _ARMED.setdefault(fault.place, []).append(fault)


def armed_faults() -> tuple[Fault, ...]:
    """What is armed, for handing on to a process that is started afresh; one that is forked has it already."""
    return tuple(fault for faults in _ARMED.values() for fault in faults)


def _disarm(fault: Fault) -> None:
    _ARMED[fault.place].remove(fault)
    if not _ARMED[fault.place]:
        del _ARMED[fault.place]
        _REACHED.pop(fault.place, None)


def become_rank(rank: int) -> None:
    """Let the faults that are meant for this rank strike in this process."""
    _RANK[:] = [rank]


def write_plan(faults: Sequence[Fault]) -> str:
    """The faults as JSON, for a command line. ValueError if an action is a callable, which has no words."""
    if any(callable(fault.action) for fault in faults):
        raise ValueError("an action that is a function cannot be handed to another process: give it in words.")
    return json.dumps([asdict(fault) for fault in faults])


def read_plan(text: str) -> list[Fault]:
    """The faults of a JSON list such as [{"place": …, "action": …, "at": 2}].

    Raises:
        ValueError: it is no such list, or names a place, a field or an action that is none.
    """
    try:
        return [Fault(**fields) for fields in json.loads(text)]
    except TypeError as error:
        raise ValueError(f"a plan of faults is a JSON list of objects with the fields of Fault: {error}.") from error


def _deed(words: str) -> Callable[[Any], object]:
    """What a text tells to do; ValueError if it tells nothing."""
    verb, _, rest = words.partition(" ")
    try:
        match verb:
            case "kill" | "stop" if not rest:
                return _signalling(signal.SIGKILL if verb == "kill" else signal.SIGSTOP)
            case "signal":
                return _signalling(signal.Signals[rest])
            case "exit":
                code = int(rest)
                return lambda thing: os._exit(code)
            case "raise":
                return _raising(rest)
            case "nan" | "inf" if not rest:
                return lambda thing: _spoil(thing, float(verb))
            case "sleep":
                seconds = float(rest)
                return lambda thing: time.sleep(seconds)
    except (KeyError, ValueError):
        pass
    raise ValueError(
        f"'{words}' is nothing that can be done: wanted kill, stop, signal NAME, exit CODE, raise NAME, nan, inf or "
        "sleep SECONDS."
    )


def _signalling(number: signal.Signals) -> Callable[[Any], object]:
    return lambda thing: os.kill(os.getpid(), number)


def _raising(name: str) -> Callable[[Any], object]:
    """Raises an error by its name; KeyError for a name that is none."""
    others = {"MemoryError", "RuntimeError", "torch OOM"}
    number = None if name in others else {word: number for number, word in errno.errorcode.items()}[name]

    def strike(_: Any) -> None:
        """A new error each time: one that is raised again would carry its old traceback."""
        if number is not None:
            raise OSError(number, os.strerror(number))
        if name == "torch OOM":
            from torch import OutOfMemoryError  # only here: this module is loaded where torch is not

            raise OutOfMemoryError("CUDA out of memory (a fault on purpose).")
        raise {"MemoryError": MemoryError, "RuntimeError": RuntimeError}[name]("a fault on purpose")

    return strike


def _spoil(thing: Any, number: float) -> None:
    """Put a number that is none into a tensor, past autograd, which would refuse."""
    if hasattr(thing, "parameters"):
        weights = list(thing.parameters())
        tensor = next((weight.grad for weight in weights if weight.grad is not None), weights[0])
    else:
        tensor = thing[0] if isinstance(thing, tuple | list) else thing
    tensor.data[(0,) * tensor.ndim] = number


def main(words: Sequence[str]) -> None:
    """`PLAN -- words of the command line`: arm what is planned, then be `lambdanets`. PLAN may be a file of it."""
    import runpy  # the command line is above this module: it is started by name, not imported

    if len(words) < 2 or words[1] != "--":
        raise SystemExit("usage: python -m lambdanets.faults PLAN -- train digits …")
    plan = Path(words[0])
    arm(read_plan(words[0] if words[0].lstrip().startswith("[") else plan.read_text(encoding="utf-8")))
    sys.argv = ["lambdanets", *words[2:]]
    runpy.run_module("lambdanets", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    from lambdanets import faults  # this file runs as __main__; what the package reaches is in the module of this name

    faults.main(sys.argv[1:])
