"""A small map and its frame: upsampled, its peak, and where its samples lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .config import ITTI_1998, Config
from .sampling import Sampling, sampling

RISE, FALL = 0.1, 5.0  # time constants in seconds of a running peak, up and down


def upsample(
    small: np.ndarray,
    shape: tuple[int, int],
    config: Config = ITTI_1998,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Bilinear upsampling of a raw map, on its own grid.

    With `itti1998` map sample i lies at pixel (i + 1/2) 16 - 1/2, with `invt` at 16 i. Beyond the
    outer samples the map is constant.

    Parameters
    ----------
    small : ndarray of shape (H//16, W//16), or what the config's maps have
    shape : (int, int)
        (H, W) of the result.
    config : Config
        What made the map: it says where the samples lie.
    out : float32 ndarray of shape (H, W), optional
        Receives the result.

    Returns
    -------
    float32 ndarray of shape (H, W)

    Raises
    ------
    ValueError
        The map is not of the size that belongs to `shape`, holds values beyond float32, or `out`
        does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from ittisal import upsample
    >>> upsample(np.float32([[0, 1]]), (16, 32))[0, 7:9]
    array([0.     , 0.03125], dtype=float32)
    """
    with np.errstate(over="ignore"):
        small = np.asarray(small, np.float32)
    if np.isinf(small).any():
        raise ValueError("map holds values that are infinite in float32; scale it down first")
    height, width = shape
    grid = sampling((height, width), config)
    if small.shape != grid.map_shape:
        raise ValueError(
            f"map has shape {small.shape}; that of a {width}x{height} frame has {grid.map_shape}. "
            "Give the frame's shape, and the config that made the map"
        )
    if out is not None and (out.shape != (height, width) or out.dtype != np.float32):
        raise ValueError(
            f"out is {out.dtype} of shape {out.shape}; give float32 of {(height, width)}"
        )
    low, t = _positions(grid, 1)
    high = np.minimum(low + 1, small.shape[1] - 1)
    wide = small[:, low]
    wide = wide + (small[:, high] - wide) * t
    if out is None:
        out = np.empty(shape, np.float32)
    low, t = _positions(grid, 0)
    for i in np.unique(low):  # one band of rows between two samples at a time: stays in cache
        first, last = np.searchsorted(low, [i, i + 1])
        rise = wide[min(i + 1, len(wide) - 1)] - wide[i]
        band = out[first:last]
        np.multiply(t[first:last, None], rise, out=band)
        band += wide[i]
    return out


def peak(
    small: np.ndarray,
    shape: tuple[int, int],
    config: Config = ITTI_1998,
    *,
    seen: tuple[int, int] | None = None,
) -> tuple[int, int] | None:
    """Where a raw map is highest, in pixels of the frame.

    Parameters
    ----------
    small : ndarray of shape (H//16, W//16), or what the config's maps have
    shape : (int, int)
        (height, width) of the frame.
    config : Config
        What made the map: it says where the samples lie.
    seen : (int, int), optional
        (H, W) that the model saw, where the frame was shrunk for it.

    Returns
    -------
    (int, int) or None
        x and y; of equal samples the first in reading order. None where none is above 0.

    Examples
    --------
    >>> import numpy as np
    >>> small = np.zeros((6, 8), np.float32)
    >>> small[2, 3] = 1
    >>> peak(small, (96, 128)), peak(small, (192, 256), seen=(96, 128))
    ((55, 39), (111, 79))
    """
    if not small.max() > 0:
        return None
    y, x = to_frame(np.unravel_index(small.argmax(), small.shape), shape, config, seen=seen)
    return int(x), int(y)


def to_frame(
    samples: Any,
    shape: tuple[int, int],
    config: Config = ITTI_1998,
    *,
    seen: tuple[int, int] | None = None,
) -> np.ndarray:
    """Where samples of a raw map lie in the frame.

    Parameters
    ----------
    samples : array of shape (..., 2)
        (row, column) in samples; fractions are between two.
    shape, config, seen
        As for `peak`.

    Returns
    -------
    float64 ndarray of shape (..., 2)
        (y, x) in pixels of the frame; whole numbers are centres of pixels.

    Examples
    --------
    >>> to_frame((2, 3), (96, 128))
    array([39.5, 55.5])
    """
    pixels = sampling(seen or shape, config).to_frame(samples)
    return (pixels + 0.5) * np.divide(shape, seen or shape) - 0.5


def to_map(
    pixels: Any,
    shape: tuple[int, int],
    config: Config = ITTI_1998,
    *,
    seen: tuple[int, int] | None = None,
) -> np.ndarray:
    """Inverse of `to_frame`: where pixels of the frame lie in a raw map.

    Examples
    --------
    >>> to_map((39.5, 55.5), (96, 128))
    array([2., 3.])
    """
    inside = (np.asarray(pixels, float) + 0.5) * np.divide(seen or shape, shape) - 0.5
    return sampling(seen or shape, config).to_map(inside)


def _positions(grid: Sampling, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower sample and fraction for each pixel of an axis."""
    at = (np.arange(grid.shape[axis]) - grid.first[axis]) / grid.step[axis]
    at = at.clip(0, grid.map_shape[axis] - 1)
    low = at.astype(np.intp)
    return low, (at - low).astype(np.float32)


def weighted_channels(config: Config) -> list[str]:
    """Names that `contributions` may have: the channels with a weight, and "figure"."""
    channels = [str(channel) for channel in config.weights if config.has(channel)]
    return channels + ["figure"] * config.figure


def channel_shares(contributions: dict[str, np.ndarray]) -> dict[str, float]:
    """Each channel's share of the sum of all contributions; all 0 where that sum is 0.

    Examples
    --------
    >>> channel_shares({"intensity": np.ones((2, 2)), "colour": 3 * np.ones((2, 2))})
    {'intensity': 0.25, 'colour': 0.75}
    """
    sums = {
        name: max(float(part.sum(dtype=np.float64)), 0.0) for name, part in contributions.items()
    }
    total = sum(sums.values())
    return {name: part / total if total > 0 else 0.0 for name, part in sums.items()}


@dataclass
class RunningPeak:
    """A running peak of the maxima of maps: what is drawn brightest, and what attention scales by.

    Were every map stretched to its maximum, videos would flicker, and frames where nothing stands
    out would look as bright as the others. So the peak follows the maxima exponentially: up with
    a time constant of 0.1 s, down with 5 s; what exceeds it is drawn as the brightest. The first
    frame, and the first after a cut, start from their maximum.

    Parameters
    ----------
    peak : float
        0 before the first frame.
    time : float, optional
        Presentation time in seconds of the last frame.

    Examples
    --------
    >>> peak = RunningPeak()
    >>> [round(peak.follow(high, time), 2) for time, high in enumerate([2.0, 1.0, 4.0])]
    [2.0, 1.82, 4.0]
    """

    peak: float = 0.0
    time: float | None = None

    def follow(self, maximum: float, time: float | None = None, *, anew: bool = False) -> float:
        """The peak after a map with this maximum; without times, at 25 frames per second."""
        elapsed = 0.04 if time is None or self.time is None else max(time - self.time, 0.0)
        self.time = self.time if time is None else time
        if anew or self.peak <= 0:
            self.peak = maximum
        else:
            pace = RISE if maximum > self.peak else FALL
            self.peak += (1 - math.exp(-elapsed / pace)) * (maximum - self.peak)
        return self.peak
