import os
import subprocess
import sys
from pathlib import Path

import pytest

from lambdanets.training.claim import claimed

HOLD = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from lambdanets.training.claim import claimed\n"
    "with claimed(Path(sys.argv[1])):\n"
    "    print('mine', flush=True)\n"
    "    time.sleep(60)\n"
)


def test_a_second_claim_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "mine\n"
    with pytest.raises(ValueError, match="is being trained into by another process: wait"), claimed(tmp_path):
        pass
    first.kill()
    first.communicate(timeout=60)
    with claimed(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_that_was_made_is_taken_back(tmp_path: Path) -> None:
    with claimed(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_used_or_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with claimed(tmp_path / "there"), claimed(tmp_path / "used"):
        (tmp_path / "used" / "file").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there", "used"]


def test_a_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr("lambdanets.training.claim.fcntl.flock", refuse)
    with claimed(tmp_path):
        pass
