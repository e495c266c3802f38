"""Frames made of NumPy alone, for machines that have neither OpenCV nor scikit-image."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=64)
def scene(
    shape: tuple[int, int], dtype: str = "uint8", channels: int = 3, seed: int = 0
) -> np.ndarray:
    """Smooth coloured texture, hard-edged things, dark regions and a little noise; read-only."""
    rng = np.random.default_rng([*shape, seed])
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    frame = np.empty((*shape, channels), np.float32)
    for c in range(channels):
        plane = np.full(shape, rng.uniform(0.2, 0.7), np.float32)
        for _ in range(4):
            fy, fx, phase = [*rng.uniform(0, 0.3, 2), rng.uniform(0, 7)]
            plane += np.float32(rng.uniform(0, 0.1)) * np.sin(fy * y + fx * x + phase)
        frame[..., c] = plane
    for _ in range(12):
        a, b = rng.integers(0, height - 8), rng.integers(0, width - 8)
        h, w = rng.integers(4, max(height // 5, 5)), rng.integers(4, max(width // 5, 5))
        frame[a : a + h, b : b + w] = rng.uniform(0, 1, channels) * (rng.random() > 0.3)
    frame += rng.normal(0, 0.02, frame.shape)
    frame = frame.clip(0, 1)[..., 0] if channels == 1 else frame.clip(0, 1)
    made = frame if dtype == "float32" else np.round(frame * np.iinfo(dtype).max).astype(dtype)
    made.flags.writeable = False
    return made
