"""How long something may take, as people write it."""

import re

_SECONDS = {"h": 3600, "m": 60, "s": 1}


def seconds_of(text: str) -> int:
    """The seconds that a text such as 90s, 45m or 11h30m stands for.

    Raises:
        ValueError: it is no such text, or no time at all.
    """
    parts = re.findall(r"(\d+)([hms])", text) if re.fullmatch(r"(\d{1,6}h)?(\d{1,6}m)?(\d{1,6}s)?", text) else []
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    if not seconds:
        raise ValueError(f"--max-time: got '{text}', wanted hours, minutes and seconds such as 11h30m, 45m or 90s.")
    return seconds
