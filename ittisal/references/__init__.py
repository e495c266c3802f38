"""Fixed programs in plain float64 NumPy, stage by stage: the truth that all backends match.

Each module is one published program with its defaults, and says where it comes from. It takes a
frame in [0, 1] and gives every intermediate by name. They share what stands in this module alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..config import Config
from ..features import Channel, Model

FLAT = 2e-6  # of the signal: flat up to here; float32 rounds constant frames to within 7e-7


def trace(unit: np.ndarray, config: Config) -> dict[str, np.ndarray]:
    """Every intermediate of the config's program for a frame, (H, W, 3) RGB or (H, W) grey.

    Among them are `conspicuity/CHANNEL`, `contribution/CHANNEL` and `saliency`.
    """
    from . import gbvs, toolbox, vocus2

    programs = {Model.TOOLBOX: toolbox, Model.VOCUS2: vocus2, Model.GBVS: gbvs}
    return programs[config.model].trace(unit, config)


def combine(out: dict[str, np.ndarray], config: Config, *, colour: bool) -> np.ndarray:
    """The weighted sum of the conspicuity maps."""
    weights = config.channel_weights(colour=colour)
    for channel, weight in weights.items():
        out[f"contribution/{channel}"] = weight * out[f"conspicuity/{channel}"]
    return np.sum([out[f"contribution/{channel}"] for channel in weights], axis=0)


def finish(out: dict[str, np.ndarray], total: np.ndarray, saliency: np.ndarray) -> None:
    """Each sample of the final map, divided in proportion to the channels' terms in the sum."""
    share = np.divide(saliency, total, out=np.zeros_like(saliency), where=total > 0)
    for channel in Channel:
        if f"contribution/{channel}" in out:
            out[f"contribution/{channel}"] = out[f"contribution/{channel}"] * share
    out["saliency"] = saliency


def to_unit_range(x: np.ndarray, signal: float) -> np.ndarray:
    """[min, max] to [0, 1]; a map that is flat beside its signal's size becomes 0.

    The programs stretch what rounding leaves of a flat frame; here nothing stands out in one.
    """
    low, high = x.min(), x.max()
    return (x - low) / (high - low) if high - low > FLAT * signal else np.zeros_like(x)


def along(x: np.ndarray, axis: int, index: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sums along an axis: sample i of the result is sum_k weights[i, k] x[index[i, k]].

    `weights` has a row per sample, or one for all.
    """
    matrix = as_matrix(index, weights, x.shape[axis])
    return matrix @ x if axis == 0 else x @ matrix.T


def as_matrix(index: np.ndarray, weights: np.ndarray, n: int) -> np.ndarray:
    """The same sums of `n` samples as a matrix."""
    matrix = np.zeros((len(index), n))
    np.add.at(matrix, (np.arange(len(index))[:, None], index), weights)
    return matrix


def correlate(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """sum_uv kernel[u, v] x[y + u - h, x + v - h] of a padded map: the result is smaller by 2 h."""
    rows, columns = (n - k + 1 for n, k in zip(x.shape, kernel.shape, strict=True))
    total = np.zeros((rows, columns))
    for (u, v), weight in np.ndenumerate(kernel):
        total += weight * x[u : u + rows, v : v + columns]
    return total


class Gabor(NamedTuple):
    """Gabor filters of zero mean and unit L2 norm (SaliencyToolbox's makeGaborFilter)."""

    period: float  # pixels
    width: float  # standard deviation across the bar
    length: float  # and along it
    half: int  # the filter has 2 half + 1 samples a side

    def kernel(self, theta: float, phase: float) -> np.ndarray:
        """The filter for a bar of direction `theta`, degrees, y down."""
        v = np.arange(-self.half, self.half + 1)
        cosine, sine = np.cos(np.deg2rad(theta)), np.sin(np.deg2rad(theta))
        across, along_bar = v[:, None] * cosine - v * sine, v[:, None] * sine + v * cosine
        envelope = np.exp(-((across / self.width) ** 2 + (along_bar / self.length) ** 2) / 2)
        kernel = envelope * np.cos(2 * np.pi / self.period * across + np.deg2rad(phase))
        kernel -= kernel.mean()
        return np.asarray(kernel / np.linalg.norm(kernel))

    def energy(self, padded: np.ndarray, theta: float) -> np.ndarray:
        """|even| + |odd| of a map padded by `half`."""
        even, odd = (correlate(padded, self.kernel(theta, phase)) for phase in (0, 90))
        return np.abs(even) + np.abs(odd)


def attenuate(x: np.ndarray, width: int, *, shared: bool) -> np.ndarray:
    """Fade towards the borders: the k-th row or column from one is scaled by k / (b + 1).

    b is `width` limited to half a side: of the axis, or (`shared`) of the shorter one.
    """
    limits = [min(x.shape) // 2] * 2 if shared else [n // 2 for n in x.shape]
    for axis, n in enumerate(x.shape):
        b = min(width, limits[axis])
        nearest = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1))
        fade = np.minimum(nearest / (b + 1), 1)
        x = x * (fade[:, None] if axis == 0 else fade)
    return x
