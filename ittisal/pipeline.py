"""The order of the model's stages, once, and what every backend offers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from .channels import NO_CHANNELS, Channels, channels_of_frame
from .config import Config, Smoothing
from .features import FEATURES, Model
from .frames import DTYPES
from .plan import Plan

STAGES = (
    "opponency",  # frame -> planes of intensity, colour opponency and flicker, at the finest level
    "pyramid",  # planes -> coarser levels
    # levels -> planes of the features that levels make: "orientation", "motion"
    *dict.fromkeys(feature.stage for feature in FEATURES if feature.stage != "opponency"),
    "whiten",  # planes -> decorrelated planes -> energies -> squared Mahalanobis distance
    "figure",  # decorrelated planes and oriented energies -> surroundedness and corners
    "centre_surround",  # levels -> a map per feature and pair, at the map's level
    "normalise",  # one scale and offset, or one new map, per map
    "combine",  # maps -> features -> conspicuity maps -> saliency map
)
PROGRAM_STAGES = {  # of the published programs whose stages are others
    Model.VOCUS2: (
        "opponency",  # frame -> planes of intensity and colour opponency
        "twin_pyramids",  # planes -> centre and surround -> their differences, split by sign
        "combine",
    ),
    Model.GBVS: (
        "opponency",
        "pyramid",
        "orientation",
        "features",  # levels -> feature maps of 48 samples
        "activation",  # feature maps -> equilibria of Markov chains
        "combine",
    ),
}
FLICKER_SECONDS = 0.03  # time in which flicker's background forgets the frames before (iNVT)
FRAME_SECONDS = 1 / 30  # assumed between frames that come without times


class BackendError(RuntimeError):
    """A backend is unknown, cannot run here, or lacks an option of the config; says which and why.

    Also raised where a GPU fails while it works.
    """


class DeviceError(BackendError):
    """A device is there, but what it needs does not work; says what and what to do.

    `backend="auto"` takes the next one then, and warns.
    """


def makes_no_whole_maps(config: Config) -> tuple[bool, str]:
    """Whether a config can be had of a backend that reduces maps as it makes them, or why not."""
    if config.normalise_before_reduction:
        return False, (
            "normalise_before_reduction=True needs whole maps, which this backend never makes; "
            'use backend="reference"'
        )
    return True, "every option"


class FrameFormat(NamedTuple):
    """What is compiled and allocated for."""

    dtype: str  # "uint8", "uint16" or "float32"
    channels: int  # 3 or 1

    @property
    def colour(self) -> bool:
        """Whether it has colour."""
        return self.channels == 3


_FORMATS = {  # by type and number of axes
    (dtype, axes): FrameFormat(dtype.name, channels)
    for dtype in DTYPES
    for axes, channels in ((2, 1), (3, 3))
}


def format_of(frames: Any, several: bool = False) -> FrameFormat:
    """The format of a frame of shape (H, W, 3) or (H, W), or of several."""
    return _FORMATS[frames.dtype, frames.ndim - several]


class FrameTiming(NamedTuple):
    """How a frame follows the one before it."""

    past: bool = False  # a frame came before
    elapsed: float = FRAME_SECONDS  # since then
    flicker_decay: float = 0.0  # fraction of its difference that flicker's background keeps
    smoothing_factor: float = 1.0  # weight of this frame's map in the smoothed one
    statistics_factor: float = 1.0  # weight of this frame's statistics in the running ones


FIRST_FRAME = FrameTiming()
Streamed = tuple[np.ndarray, FrameTiming, Channels]  # a frame of a stream, and what goes with it


def frame_timing(config: Config, elapsed: float | None) -> FrameTiming:
    """The timing of a frame so many seconds after the last one, or without one (None)."""
    if elapsed is None:
        return FIRST_FRAME
    smoothing = 1.0
    if config.smoothing is Smoothing.EMA:
        smoothing = config.smoothing_rate
    elif config.smoothing is Smoothing.LEAKY:
        smoothing = -math.expm1(-elapsed / config.smoothing_seconds)
    statistics = -math.expm1(-elapsed / config.whitening_seconds) if config.averages else 1.0
    decay = 1 - min(1.0, elapsed / FLICKER_SECONDS)
    return FrameTiming(True, elapsed, decay, smoothing, statistics)


def stages(plan: Plan, *, colour: bool, past: bool) -> tuple[str, ...]:
    """The stages that a frame goes through, in order."""
    if plan.config.model in PROGRAM_STAGES:
        return PROGRAM_STAGES[plan.config.model]
    features = plan.features_of(colour=colour, past=past)
    runs = dict.fromkeys(STAGES, True)
    runs |= {feature.stage: False for feature in FEATURES if feature.stage != "opponency"}
    runs |= {feature.stage: True for feature in features}
    runs |= {"whiten": plan.config.whitens, "figure": plan.config.figure}
    runs |= dict.fromkeys(("centre_surround", "normalise"), bool(features))
    return tuple(stage for stage in STAGES if runs[stage])


def schedule(backend: Any, plan: Plan, *, colour: bool, past: bool) -> tuple[Any, ...]:
    """A frame's launches: those of each stage, from the method of that name, in the model's order.

    A launch has a `stage`; the rest is the backend's own.
    """
    return tuple(
        launch
        for stage in stages(plan, colour=colour, past=past)
        for launch in getattr(backend, stage)()
    )


class Backend(Protocol):
    """One way to run the stages for one plan. It owns its buffers: one per thread.

    Frames have been checked, but for the values of float ones, and so have the caller's channels,
    whose maps are at the map's level. The state that a frame leaves is committed when the next one
    comes, so that the last frame can be run again. A frame with bad values leaves none.
    """

    name: str
    threads: int  # that share one frame

    def run(
        self,
        frame: np.ndarray,
        out: np.ndarray,
        timing: FrameTiming = FIRST_FRAME,
        channels: Channels = NO_CHANNELS,
    ) -> None:
        """Write the raw map of a frame into `out`."""

    def run_batch(
        self,
        frames: np.ndarray,
        out: np.ndarray,
        timings: Sequence[FrameTiming],
        channels: Channels = NO_CHANNELS,
    ) -> None:
        """Write the raw maps of several frames of one format into `out`, with a timing for each."""

    def stream(self, frames: Iterable[Streamed]) -> Iterator[np.ndarray]:
        """New arrays with the raw maps of frames in turn."""

    def pinned_frame(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Memory for frames that the backend reads without a copy of its own."""

    def trace(
        self,
        frame: np.ndarray,
        timing: FrameTiming | None = FIRST_FRAME,
        channels: Channels = NO_CHANNELS,
    ) -> dict[str, np.ndarray]:
        """Every intermediate that this backend makes, by the reference's names.

        Without a timing, of the last frame again.
        """

    def contributions(self) -> dict[str, np.ndarray]:
        """What each channel added to the last frame's map; new arrays."""

    def timings(self, frame: np.ndarray) -> dict[str, float]:
        """Milliseconds per stage; leaves no state for the next frame."""

    def run_stages(self, frame: np.ndarray, out: np.ndarray, stages: Sequence[str]) -> None:
        """Run some stages on what the buffers hold; the last one writes the map into `out`."""

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""

    def close(self) -> None:
        """Release worker threads and memory."""


class OneByOne:
    """What follows from `run` for a backend that works on one frame at a time, in host memory."""

    plan: Plan

    def run(
        self,
        frame: np.ndarray,
        out: np.ndarray,
        timing: FrameTiming = FIRST_FRAME,
        channels: Channels = NO_CHANNELS,
    ) -> None:
        """Write the raw map of a frame into `out`."""
        raise NotImplementedError

    def run_batch(
        self,
        frames: np.ndarray,
        out: np.ndarray,
        timings: Sequence[FrameTiming],
        channels: Channels = NO_CHANNELS,
    ) -> None:
        """One frame after the other."""
        for index, (frame, timing) in enumerate(zip(frames, timings, strict=True)):
            self.run(frame, out[index], timing, channels_of_frame(channels, index))

    def stream(self, frames: Iterable[Streamed]) -> Iterator[np.ndarray]:
        """One frame after the other, each when it is asked for."""
        for frame, timing, channels in frames:
            out = np.empty(self.plan.map_shape, np.float32)
            self.run(frame, out, timing, channels)
            yield out

    def pinned_frame(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Ordinary memory: it is read where it is."""
        return np.zeros(shape, dtype)
