"""Served to be measured with large bodies."""

import numpy as np

NUMBERS = np.arange(2 << 20, dtype=np.float64)  # 16 MiB


def total(body: np.ndarray) -> int:
    """The sum of the bytes."""
    return int(body.sum())


def array() -> memoryview:
    """16 MiB of numbers, made anew."""
    return (NUMBERS * 2).data
