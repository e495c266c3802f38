"""The order of the model's stages, once, and what every backend offers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from .config import Config, Smoothing
from .plan import Plan

STAGES = (
    "opponency",  # frame -> intensity, red-green, blue-yellow, flicker
    "pyramid",  # planes -> levels 2 to 8
    "orientation",  # intensity levels -> one energy per orientation
    "motion",  # two frames' intensity levels -> one response per direction
    "whiten",  # planes -> decorrelated planes -> oriented energies -> one conspicuity map
    "figure",  # decorrelated planes and oriented energies -> what is enclosed, where corners are
    "centre_surround",  # levels -> six maps per feature, reduced to level 4
    "normalise",  # one weight, or one new map, per map
    "combine",  # maps -> features -> conspicuity maps -> 1
)
FLICKER_SECONDS = 0.03  # in which flicker's background forgets the frames before (iNVT)
FRAME_SECONDS = 1 / 30  # taken to lie between frames that come without times


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


class Moment(NamedTuple):
    """What a frame is told of time."""

    past: bool = False  # a frame came before
    elapsed: float = FRAME_SECONDS  # since then
    keep: float = 0.0  # what flicker's background keeps of its difference from the frame
    share: float = 1.0  # of this frame's map in the smoothed one
    renewal: float = 1.0  # share of this frame's statistics in the average of those before


STILL = Moment()  # a frame by itself


def moment(config: Config, elapsed: float | None) -> Moment:
    """The moment of a frame so many seconds after the last one, or without one (None)."""
    if elapsed is None:
        return STILL
    share = 1.0
    if config.smoothing is Smoothing.EMA:
        share = config.smoothing_rate
    elif config.smoothing is Smoothing.LEAKY:
        share = -math.expm1(-elapsed / config.smoothing_seconds)
    renewal = -math.expm1(-elapsed / config.whitening_seconds) if config.averages else 1.0
    return Moment(True, elapsed, 1 - min(1.0, elapsed / FLICKER_SECONDS), share, renewal)


class Backend(Protocol):
    """One way to run the stages for one plan. It owns its buffers: one per thread.

    Frames have been checked, but for the values of float ones. What a frame leaves for the next is
    put in place when that one comes: so the last frame can be worked on again. A frame whose
    values are bad leaves nothing.
    """

    name: str
    threads: int  # that share one frame

    def run(self, frame: np.ndarray, out: np.ndarray, moment: Moment = STILL) -> None:
        """Write the raw map of a frame into `out`."""

    def run_batch(self, frames: np.ndarray, out: np.ndarray, moments: Sequence[Moment]) -> None:
        """Write the raw maps of several frames of one kind into `out`, with a moment for each."""

    def stream(self, frames: Iterable[tuple[np.ndarray, Moment]]) -> Iterator[np.ndarray]:
        """New arrays with the raw maps of frames in turn."""

    def pinned_frame(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Memory for frames that the backend reads without a copy of its own."""

    def trace(self, frame: np.ndarray, moment: Moment | None = STILL) -> dict[str, np.ndarray]:
        """Every intermediate that this backend makes, by the reference's names.

        Without a moment, of the last frame again.
        """

    def contributions(self) -> dict[str, np.ndarray]:
        """What each channel added to the last frame's map; new arrays."""

    def timings(self, frame: np.ndarray) -> dict[str, float]:
        """Milliseconds per stage; the next frame sees nothing of it."""

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""

    def close(self) -> None:
        """Let go of worker threads and memory."""


class OneByOne:
    """What follows from `run` for a backend that works on one frame at a time, in host memory."""

    plan: Plan

    def run(self, frame: np.ndarray, out: np.ndarray, moment: Moment = STILL) -> None:
        """Write the raw map of a frame into `out`."""
        raise NotImplementedError

    def run_batch(self, frames: np.ndarray, out: np.ndarray, moments: Sequence[Moment]) -> None:
        """One frame after the other."""
        for frame, saliency, moment in zip(frames, out, moments, strict=True):
            self.run(frame, saliency, moment)

    def stream(self, frames: Iterable[tuple[np.ndarray, Moment]]) -> Iterator[np.ndarray]:
        """One frame after the other, each when it is asked for."""
        for frame, moment in frames:
            out = np.empty(self.plan.map_shape, np.float32)
            self.run(frame, out, moment)
            yield out

    def pinned_frame(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Ordinary memory: it is read where it is."""
        return np.zeros(shape, dtype)
