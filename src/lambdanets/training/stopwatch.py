"""Where the time of a step goes."""

import time


class Stopwatch:
    """Adds up the seconds between one moment and the next under the name of what happened meanwhile.

    On a GPU the host runs ahead, so what waits for its results bears their time.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def passed(self, name: str) -> None:
        """What took place since the last call was `name`."""
        now = time.perf_counter()
        self._seconds[name] = self._seconds.get(name, 0.0) + now - self._last
        self._last = now

    def take(self) -> dict[str, float]:
        """Seconds by name since the last take, and their sum as `seconds`; counting begins anew."""
        taken, self._seconds = self._seconds, {}
        return {"seconds": sum(taken.values()), **{f"{name}_seconds": seconds for name, seconds in taken.items()}}
