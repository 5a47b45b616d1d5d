"""Measurements: `python -m benchmarks.layers`, `.choice`, `.models`. Each prints a table and writes a dated report."""
