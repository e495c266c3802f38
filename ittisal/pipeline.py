"""The order of the model's stages, once, and what every backend offers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from .config import Config
from .plan import Plan

STAGES = (
    "opponency",  # frame -> intensity, red-green, blue-yellow
    "pyramid",  # planes -> levels 2 to 8
    "orientation",  # intensity levels -> one energy per direction
    "centre_surround",  # levels -> 42 maps, reduced to level 4
    "normalise",  # one weight, or one new map, per map
    "combine",  # 42 maps -> 7 features -> 3 conspicuity maps -> 1
)


class BackendError(RuntimeError):
    """A backend is unknown, cannot run here, or lacks an option of the config; says which and why.

    Also raised where a GPU fails while it works.
    """


def makes_no_whole_maps(config: Config) -> tuple[bool, str]:
    """Whether a config can be had of a backend that reduces maps as it makes them, or why not."""
    if config.normalise_before_reduction:
        return False, (
            "normalise_before_reduction=True needs whole maps, which this backend never makes; "
            'use backend="reference"'
        )
    return True, "every option"


class Backend(Protocol):
    """One way to run the stages for one plan. It owns its buffers: one per thread.

    Frames have been checked, but for the values of float ones.
    """

    name: str
    threads: int  # that share one frame

    def run(self, frame: np.ndarray, out: np.ndarray) -> None:
        """Write the raw map of a frame into `out`."""

    def run_batch(self, frames: np.ndarray, out: np.ndarray) -> None:
        """Write the raw maps of several frames of one kind into `out`."""

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """New arrays with the raw maps of frames in turn."""

    def pinned_frame(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Memory for frames that the backend reads without a copy of its own."""

    def trace(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        """Every intermediate that this backend makes, by the reference's names."""

    def timings(self, frame: np.ndarray) -> dict[str, float]:
        """Milliseconds per stage."""

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""

    def close(self) -> None:
        """Let go of worker threads and memory."""


class OneByOne:
    """What follows from `run` for a backend that works on one frame at a time, in host memory."""

    plan: Plan

    def run(self, frame: np.ndarray, out: np.ndarray) -> None:
        """Write the raw map of a frame into `out`."""
        raise NotImplementedError

    def run_batch(self, frames: np.ndarray, out: np.ndarray) -> None:
        """One frame after the other."""
        for frame, saliency in zip(frames, out, strict=True):
            self.run(frame, saliency)

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """One frame after the other, each when it is asked for."""
        for frame in frames:
            out = np.empty(self.plan.map_shape, np.float32)
            self.run(frame, out)
            yield out

    def pinned_frame(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Ordinary memory: it is read where it is."""
        return np.zeros(shape, dtype)
