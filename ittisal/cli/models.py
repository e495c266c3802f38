"""Models by frame size, their latency, what is reported of a map, and photographs to try."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..config import Config
from ..features import TEMPORAL, Channel
from ..levels import Levels
from ..maps import peak, upsample
from ..model import Saliency
from .common import UsageError

# Each is in `skimage/data` of every release from 0.22, no download. The rocket comes first because
# all three channels respond: to the lit hull, the orange lamps, the star bursts.
PHOTOGRAPHS = ("rocket", "chelsea", "coffee", "astronaut", "camera")
MODELS = 4
LEAST_FRAMES = 5
PARTS = {  # of a map: name in files -> name in a trace
    **{str(channel): f"conspicuity/{channel}" for channel in Channel},
    "figure": "figure",
    "corners": "corners",
}


class Models:
    """One `Saliency` for each of the last few frame sizes: folders tend to hold a few sizes."""

    def __init__(
        self, config: Config, backend: str, threads: int | None, levels: Levels | None = None
    ) -> None:
        self.config = config
        self._build = partial(
            Saliency,
            config=config,
            backend=backend,
            channel_order="bgr",
            threads=threads,
            levels=levels,
        )
        self._models: dict[tuple[int, int], Saliency] = {}  # the last used is the last

    def get(self, shape: tuple[int, int]) -> Saliency:
        """The model for pictures of this (height, width), reset: it has seen no frame."""
        model = self._models.pop(shape, None) or self._build(shape)
        while len(self._models) >= MODELS:
            self._models.pop(next(iter(self._models))).close()
        self._models[shape] = model
        model.reset()
        return model

    def close(self) -> None:
        """Close every model."""
        while self._models:
            self._models.popitem()[1].close()


def with_parts(model: Saliency, frame: np.ndarray, channels: Any = None) -> dict[str, np.ndarray]:
    """Raw float32 maps by name: `saliency` and those of `PARTS` that this frame has."""
    trace = model.trace(frame, channels=channels)
    names = {"saliency": "saliency", **PARTS}
    return {name: np.asarray(trace[key], np.float32) for name, key in names.items() if key in trace}


def parts_of(config: Config) -> tuple[str, ...]:
    """Which of `PARTS` the model makes of a still colour picture."""
    made = [str(c) for c in config.weights if config.has(c) and c not in TEMPORAL]
    figure = ["figure", "corners"] if config.figure else []
    return (*made, *figure)


def full_size(raw: np.ndarray, shape: tuple[int, int], config: Config) -> np.ndarray:
    """A raw map over its maximum at the frame's size; all zero where nothing stands out."""
    return upsample(unit(raw), shape, config)


def unit(raw: np.ndarray) -> np.ndarray:
    """A raw map over its maximum."""
    top = raw.max()
    return raw / top if top > 0 else raw


def peak_of(raw: np.ndarray, shape: tuple[int, int], config: Config) -> dict[str, int] | None:
    """The frame's pixel under the highest sample, or None where nothing stands out."""
    at = peak(raw, shape, config)
    return at and {"x": at[0], "y": at[1]}


def latencies(model: Saliency, frames: Sequence[np.ndarray], seconds: float) -> list[float]:
    """Seconds of each call on the frames in turn, for about so long in all."""
    out = np.empty(model.map_shape, np.float32)
    times: list[float] = []
    spent = 0.0
    while len(times) < LEAST_FRAMES or spent < seconds:
        start = time.perf_counter()
        model(frames[len(times) % len(frames)], out)
        times.append(time.perf_counter() - start)
        spent += times[-1]
    return times


def photograph(name: str) -> np.ndarray:
    """A photograph of `PHOTOGRAPHS` from scikit-image, in BGR or grey."""
    if name not in PHOTOGRAPHS:
        raise UsageError(
            f"no photograph {name!r}; there are {', '.join(PHOTOGRAPHS)}, or give an image file"
        )
    try:
        from skimage import data
    except ImportError:
        raise UsageError(
            "the photographs come with scikit-image, which is not installed; "
            "pip install scikit-image"
        ) from None
    image = getattr(data, name)()
    return np.ascontiguousarray(image[..., ::-1] if image.ndim == 3 else image)
