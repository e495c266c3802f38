"""The order of the model's stages, once, and what every backend offers."""

from __future__ import annotations

from typing import Protocol

import numpy as np

STAGES = (
    "opponency",  # frame -> intensity, red-green, blue-yellow
    "pyramid",  # planes -> levels 2 to 8
    "orientation",  # intensity levels -> one energy per direction
    "centre_surround",  # levels -> 42 maps, reduced to level 4
    "normalise",  # one weight, or one new map, per map
    "combine",  # 42 maps -> 7 features -> 3 conspicuity maps -> 1
)


class Backend(Protocol):
    """One way to run the stages for one plan. It owns its buffers: one per thread."""

    name: str
    threads: int  # that share one frame

    def run(self, frame: np.ndarray, out: np.ndarray) -> None:
        """Write the raw map of a checked frame into `out`."""

    def trace(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        """Every intermediate that this backend makes, by the reference's names."""

    def timings(self, frame: np.ndarray) -> dict[str, float]:
        """Milliseconds per stage."""

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""

    def close(self) -> None:
        """Let worker threads go."""
