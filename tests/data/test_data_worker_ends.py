"""Workers end when the process that started them does, however that comes about, and not before."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

MAIN = """
import sys; sys.path.insert(0, {folder!r})
import os, time
from lambdanets.data.loader import LoaderConfig, load_batches
from loading import Make, requests
if __name__ == "__main__":
    {first}
    make = Make({trouble!r}, at=9 if {trouble!r} else -1)
    batches = load_batches(make, lambda first: requests(10**6, first), 0, LoaderConfig(workers=2),
                           pin=False, warn=print)
    print(*{{next(batches).by for _ in range(4)}}, flush=True)
    {then}
"""


def started(
    tmp_path: Path, then: str, trouble: str = "", first: str = "pass"
) -> tuple[subprocess.Popen[str], list[int]]:
    """A process with two workers, and their numbers."""
    script = tmp_path / "main.py"
    script.write_text(MAIN.format(folder=str(Path(__file__).parent), then=then, trouble=trouble, first=first))
    main = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert main.stdout is not None
    return main, [int(word) for word in main.stdout.readline().split()]


def gone(pids: list[int], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while alive := [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]:
        if time.monotonic() > deadline:
            return not alive
        time.sleep(0.05)
    return True


def test_workers_do_not_outlive_a_killed_process(tmp_path: Path) -> None:
    main, workers = started(tmp_path, "for _ in batches: pass", trouble="sleep")
    main.kill()
    assert len(workers) == 2
    assert gone(workers)
    main.communicate()


def test_interrupting_everybody_ends_the_process_cleanly(tmp_path: Path) -> None:
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # ignored in the background
    main, workers = started(tmp_path, "for _ in batches: pass", trouble="sleep", first=hear)
    os.killpg(main.pid, signal.SIGINT)
    _, said = main.communicate(timeout=20)
    assert said.count("Traceback") == 1
    assert said.strip().endswith("KeyboardInterrupt")
    assert gone(workers)


def test_workers_go_on_while_everybody_is_told_to_end(tmp_path: Path) -> None:
    ignore = "import signal; signal.signal(signal.SIGTERM, lambda *_: None)"
    go_on = "time.sleep(1); print(*{next(batches).by for _ in range(20)}, flush=True); os._exit(0)"
    main, workers = started(tmp_path, go_on, first=ignore)
    os.killpg(main.pid, signal.SIGTERM)
    said, complaint = main.communicate(timeout=20)
    assert {int(word) for word in said.split()} == set(workers)
    assert complaint == ""
    assert gone(workers)


@pytest.mark.slow
def test_the_end_of_the_process_ends_workers_that_nobody_closed(tmp_path: Path) -> None:
    main, workers = started(tmp_path, "import builtins; builtins.kept = batches")
    _, complaint = main.communicate(timeout=20)
    assert (main.returncode, complaint) == (0, "")
    assert gone(workers)
