import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INSTALL = "from lambdanets.cli import main; import sys; sys.exit(main(['--install-completion']))"
ASK = """
source "$1"
COMP_WORDS=(lambdanets $2); COMP_CWORD=1; COMP_LINE="lambdanets $2"; COMP_POINT=${#COMP_LINE}
complete=$(complete -p lambdanets); complete=${complete#*-F }; ${complete%% *} lambdanets "$2" lambdanets
echo "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here to complete in")
def test_bash_completes_verbs(tmp_path: Path) -> None:
    home = {**os.environ, "HOME": str(tmp_path), "SHELL": "/bin/bash"}
    asked = ["bash", "-c", '"$0" -c "$1"; exit $?', sys.executable, INSTALL]  # a bash as parent, which is looked for
    installed = subprocess.run(asked, env=home, capture_output=True, text=True, timeout=60, check=True)
    (script,) = (tmp_path / ".local").rglob("lambdanets")
    assert str(script) in installed.stdout
    for typed, completed in (("ev", "evaluate"), ("pre", "predict"), ("xy", "")):
        answer = subprocess.run(
            ["bash", "-c", ASK, "bash", str(script), typed], capture_output=True, text=True, timeout=60, check=True
        )
        assert answer.stdout.strip() == completed
