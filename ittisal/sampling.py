"""Where the samples of a saliency map lie over its frame."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .config import MAP_LEVEL, Config, Phase
from .features import Model

VOCUS2_LEVEL = 1  # its maps have half the frame's size
GBVS_LEVEL = 5  # the first above its pyramid's; its maps have a size of their own
GBVS_SIDE = 48  # samples of a map's longer side


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

    def starts(self, axis: int) -> np.ndarray:
        """The first pixel of each sample's nearest on an axis; ascending, intp."""
        return np.searchsorted(self.nearest(axis), np.arange(self.map_shape[axis]))


def map_level(shape: tuple[int, int], config: Config) -> int:
    """The pyramid's level that the maps of frames of (height, width) have the size of."""
    fixed = {Model.VOCUS2: VOCUS2_LEVEL, Model.GBVS: GBVS_LEVEL}
    return fixed.get(config.model, MAP_LEVEL - config.octave_shift(shape))


def sampling(shape: tuple[int, int], config: Config) -> Sampling:
    """The grid of the maps of frames of (height, width) under a config.

    Samples lie between pixels, at (i + 1/2) 16 - 1/2, or on every 16th (`phase="even"`, and the
    model `toolbox`); of 8 or 4 pixels where a `working_size` shifts the levels. Those of `vocus2`
    are 2 x 2 pixels, those of `gbvs` a 48th of the longer side.

    Examples
    --------
    >>> from ittisal import ITTI_1998
    >>> sampling((480, 640), ITTI_1998)
    Sampling(shape=(480, 640), map_shape=(30, 40), step=(16, 16), first=(7.5, 7.5))
    """
    height, width = shape
    if config.model is Model.GBVS:
        longer = max(shape)
        rows, columns = (max((2 * GBVS_SIDE * n + longer) // (2 * longer), 1) for n in shape)
        steps = height / rows, width / columns
        return Sampling(shape, (rows, columns), steps, _between(steps))
    level = map_level(shape, config)
    steps = 1 << level, 1 << level
    even = config.phase is Phase.EVEN or config.model is Model.TOOLBOX
    map_shape = max(height >> level, 1), max(width >> level, 1)
    return Sampling(shape, map_shape, steps, (0.0, 0.0) if even else _between(steps))


def _between(steps: tuple[float, float]) -> tuple[float, float]:
    """Where the first sample lies that is the middle of its pixels."""
    return (steps[0] - 1) / 2, (steps[1] - 1) / 2
