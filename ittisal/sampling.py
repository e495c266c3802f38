"""Where the samples of a saliency map lie over its frame."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .config import MAP_LEVEL, Config, Phase


class Sampling(NamedTuple):
    """The grid of a map: sample i of an axis lies on pixel `first + step * i`."""

    shape: tuple[int, int]  # (height, width) of the frame
    map_shape: tuple[int, int]
    step: tuple[float, float]  # pixels from sample to sample, down and across
    first: tuple[float, float]

    def to_frame(self, samples: Any) -> np.ndarray:
        """(y, x) in pixels of (row, column) in samples, arrays of shape (..., 2)."""
        return np.asarray(samples, float) * self.step + self.first

    def to_map(self, pixels: Any) -> np.ndarray:
        """Inverse of `to_frame`."""
        return (np.asarray(pixels, float) - self.first) / self.step

    def nearest(self, axis: int, pixels: Any = None) -> np.ndarray:
        """The sample nearest to each pixel of an axis, or to those given, intp."""
        at = np.arange(self.shape[axis]) if pixels is None else np.asarray(pixels)
        samples = np.floor((at - self.first[axis]) / self.step[axis] + 0.5).astype(np.intp)
        return np.asarray(samples.clip(0, self.map_shape[axis] - 1))


def sampling(shape: tuple[int, int], config: Config) -> Sampling:
    """The grid of the maps of frames of (height, width) under a config.

    Samples lie between pixels, at (i + 1/2) 16 - 1/2, or on every 16th (`phase="even"`).

    Examples
    --------
    >>> from ittisal import ITTI_1998
    >>> sampling((480, 640), ITTI_1998)
    Sampling(shape=(480, 640), map_shape=(30, 40), step=(16, 16), first=(7.5, 7.5))
    """
    height, width = shape
    step = 1 << MAP_LEVEL
    first = 0.0 if config.phase is Phase.EVEN else (step - 1) / 2
    map_shape = max(height >> MAP_LEVEL, 1), max(width >> MAP_LEVEL, 1)
    return Sampling(shape, map_shape, (step, step), (first, first))
