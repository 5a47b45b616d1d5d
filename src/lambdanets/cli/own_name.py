"""What to type for this command: the examples that it prints should work as they stand."""

import shlex
import shutil
import sys
from pathlib import Path

NAME = "lambdanets"


def own_name() -> str:
    """`lambdanets` where a shell finds it, otherwise the way that this process was started, ready for a shell."""
    if shutil.which(NAME) is not None:
        return NAME
    started = Path(sys.argv[0])
    if started.name == NAME:
        return shlex.quote(sys.argv[0])
    if started.parts[-2:] == (NAME, "__main__.py"):
        return f"{shlex.quote(sys.executable)} -m {NAME}"
    return NAME  # within another program
