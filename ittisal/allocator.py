"""Ranges of a buffer that is made once they are all known."""

from __future__ import annotations

import numpy as np


class Allocator:
    """Hands out ranges of a float32 buffer whose size is not known yet, and what they hold."""

    def __init__(self, unit: int, start: int = 0) -> None:
        self.unit, self.size = unit, start
        self.filled: list[tuple[int, np.ndarray]] = []

    def take(self, size: int) -> int:
        """Offset of `size` floats, in whole units."""
        offset = self.size
        self.size += (int(size) + self.unit - 1) // self.unit * self.unit
        return offset

    def put(self, *values: np.ndarray) -> int:
        """Offset of a copy of some values, one array after the other."""
        flat = np.concatenate([np.ravel(each) for each in values])
        self.filled.append((self.take(flat.size), flat))
        return self.filled[-1][0]

    def fill(self, buffer: np.ndarray) -> np.ndarray:
        """The buffer, with the copies where they belong."""
        for offset, values in self.filled:
            buffer[offset : offset + values.size] = values
        self.filled.clear()
        return buffer
