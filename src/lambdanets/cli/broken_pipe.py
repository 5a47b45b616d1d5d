"""What a command does when whoever read its output has gone."""

import os
import sys

EXIT_PIPE = 141
"""Nobody reads the output any more: what a shell reports of a program that SIGPIPE ended."""


def fall_silent() -> None:
    """Say nothing any more: Python would complain when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
