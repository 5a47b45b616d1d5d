"""The measured prices of every order on a GPU; `python -m benchmarks.prices --device cuda --write` writes this file."""

MACHINE = ""
"""The GPU that was measured; empty: none was yet."""
MEASURED: dict[tuple[str, int], dict[str, dict[str, tuple[float, float]]]] = {}
"""(device, bytes of a number) → order → kind of work → seconds, forward and backward."""
