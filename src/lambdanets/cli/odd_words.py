"""What is said of words that are no command, no option or one too many."""

from cyclopts import CycloptsError, UnknownCommandError, UnusedCliTokensError


def complaint(error: CycloptsError) -> ValueError:
    """The parser's error in our words: what was got, and where to see what is wanted."""
    if isinstance(error, UnknownCommandError):
        said = str(error).partition(" Available commands")[0]
        return ValueError(f"{said} lambdanets --help lists the commands.")
    if isinstance(error, UnusedCliTokensError):
        verb = " ".join(error.command_chain or ())
        words = ", ".join(f"'{word}'" for word in error.unused_tokens or ())
        return ValueError(f"got {words} too many: leave it out, or see lambdanets {verb} --help.".replace("  ", " "))
    return ValueError(str(error))
