"""The measured prices of every order, by kind of machine; `python -m benchmarks.prices --write` writes this file.

Those of a CPU with AVX-512 stand in the orders' own modules, and hold where none were measured.
"""

MACHINES: dict[tuple[str, int], str] = {
    ("cpu without AVX-512", 4): "AMD EPYC (avx2)",
}
"""(kind of machine, bytes of a number) → the one that was measured."""
MEASURED: dict[tuple[str, int], dict[str, dict[str, tuple[float, float]]]] = {
    ("cpu without AVX-512", 4): {
        "dense": {
            "queries": (1.2e-11, 7.7e-12),
            "values": (2.3e-11, 5.5e-11),
            "scores": (6.9e-10, 3.8e-09),
            "table": (3.7e-10, 5.6e-10),
            "rows": (0, 0),
            "read": (8.7e-10, 2.6e-09),
            "columns": (2.7e-05, 4e-05),
            "moved": (7.9e-10, 1.8e-09),
            "setup": (0.00032, 0.00081),
        },
        "convolution": {
            "products": (6.5e-11, 1.5e-10),
            "kernels": (1.2e-09, 0),
            "lambdas": (3.4e-10, 6.1e-09),
            "moved": (0, 3.6e-10),
            "groups": (0.00026, 0.00062),
            "windows": (0, 5.8e-09),
            "window products": (0, 6.2e-11),
            "setup": (0.00022, 0.00013),
        },
        "rows": {
            "lambdas": (3e-11, 8e-11),
            "read": (2.7e-10, 2.3e-09),
            "applied": (0, 0),
            "table": (6.1e-10, 0),
            "context": (1.1e-09, 7.2e-11),
            "moved": (1.1e-09, 0),
            "rows": (1.4e-05, 6.9e-05),
            "blocks": (0.00012, 0.00025),
            "images": (7.5e-05, 0.00014),
            "columns": (2.4e-05, 7.9e-05),
            "setup": (0.0004, 0),
        },
        "scores": {
            "queries": (2.5e-11, 1.3e-11),
            "values": (3e-11, 6.8e-11),
            "scores": (5e-10, 4.5e-09),
            "table": (5.8e-09, 1.1e-08),
            "context": (0, 0),
            "moved": (0, 0),
            "rows": (4.4e-06, 1.6e-05),
            "blocks": (6e-05, 0.0001),
            "views": (0, 4.5e-05),
            "columns": (2.6e-05, 5e-06),
            "setup": (0.00034, 0.0011),
        },
        "fourier_rows": {
            "rows": (3e-11, 9.9e-11),
            "read": (5.1e-10, 1e-09),
            "table": (2.2e-11, 4.1e-11),
            "spectra": (9.2e-09, 3.4e-09),
            "columns": (4.4e-11, 1.2e-10),
            "applied": (1.2e-10, 0),
            "moved": (0, 5.1e-09),
            "laid out": (1.5e-09, 4.3e-09),
            "steps": (6.6e-05, 0.00017),
            "groups": (0, 0),
            "images": (2.8e-05, 8.3e-05),
            "setup": (0.00089, 0.0012),
            "small rows": (9.1e-11, 4e-10),
            "blocks": (1.3e-10, 1e-10),
        },
        "fourier": {
            "inverse": (5.5e-09, 8.9e-09),
            "multiplied": (4.1e-10, 2.7e-09),
            "values": (1.2e-08, 2.5e-08),
            "applied": (0, 1.2e-09),
            "steps": (0.00018, 0.00042),
            "setup": (0.0011, 0.0027),
        },
    },
}
"""(kind of machine, bytes of a number) → order → kind of work → seconds, forward and backward."""
