"""Standard output as rich writes to it: tables, and the help of odd command lines."""

from rich.console import Console


class OutputConsole(Console):
    """A console whose broken pipe reaches `main`, like that of `print`; rich would end the process by itself."""

    def on_broken_pipe(self) -> None:
        """Let the error go on to whoever called."""
        raise BrokenPipeError
