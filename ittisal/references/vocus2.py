"""VOCUS2 with its defaults (Frintrop, Werner & Martin Garcia, CVPR 2015; GeeeG/VOCUS2).

Centre and surround are two Gaussian pyramids of the same plane, the twin pyramids. Their
difference is split by its sign, so that bright on dark and dark on bright do not cancel. The
original's map has the frame's size; this one has its 2x2 means.
"""

from __future__ import annotations

import numpy as np

from ..config import Config
from ..features import Channel
from . import along, combine, finish, to_unit_range

CENTRE, SURROUND = 3.0, 13.0  # standard deviations in pixels
SCALES = 2  # per octave
TOP = 4  # octaves above the first, at most
CUBIC = -0.75  # the parameter of OpenCV's bicubic interpolation


def planes(unit: np.ndarray, config: Config) -> dict[str, np.ndarray]:
    """Intensity, r - g and b - (r + g) / 2."""
    if unit.ndim == 2:
        return {"intensity": unit}
    r, g, b = np.moveaxis(unit, 2, 0)
    found = {}
    if config.has(Channel.INTENSITY):
        found["intensity"] = (r + g + b) / 3
    if config.has(Channel.COLOUR):
        found |= {"red_green": r - g, "blue_yellow": b - (r + g) / 2}
    return found


def blur(x: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian of so many pixels, cut at 4 sigma, borders replicated (OpenCV, float images)."""
    half = (round(8 * sigma + 1) | 1) // 2
    at = np.arange(-half, half + 1)
    taps = np.exp(-(at**2) / (2 * sigma**2))
    taps /= taps.sum()
    for axis, n in enumerate(x.shape):
        x = along(x, axis, np.clip(np.arange(n)[:, None] + at, 0, n - 1), taps)
    return x


def halve(x: np.ndarray) -> np.ndarray:
    """Every second sample (OpenCV's nearest neighbour); floor(n / 2), at least one."""
    if min(x.shape) < 2:
        return x
    for axis, n in enumerate(x.shape):
        count = n // 2
        x = x.take((np.arange(count) * n) // count, axis)
    return x


def enlarge(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bicubic interpolation, sample centres on sample centres, borders replicated (OpenCV)."""
    for axis, (n, count) in enumerate(zip(x.shape, shape, strict=True)):
        if n == count:
            continue
        at = (np.arange(count) + 0.5) * (n / count) - 0.5
        low = np.floor(at).astype(int)
        index = low[:, None] + np.arange(-1, 3)
        d = np.abs(at[:, None] - index)
        near = (CUBIC + 2) * d**3 - (CUBIC + 3) * d**2 + 1
        far = CUBIC * (d**3 - 5 * d**2 + 8 * d - 4)
        x = along(x, axis, np.clip(index, 0, n - 1), np.where(d <= 1, near, far))
    return x


def twin_pyramids(plane: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Centre and surround of each scale of each octave, from fine to coarse.

    The centre has sigma 3 2^(k / 2) at scale k of its octave. The surround is the centre, blurred
    to sigma 13 2^(k / 2).
    """
    octaves = min(int(np.log2(min(plane.shape))), TOP) + 1
    steps = [CENTRE * 2 ** (k / SCALES) for k in range(SCALES + 1)]
    found, centre = [], blur(plane, CENTRE)
    for _ in range(octaves):
        for k in range(SCALES):
            wider = np.sqrt(SURROUND**2 - CENTRE**2) * 2 ** (k / SCALES)
            found.append((centre, blur(centre, wider)))
            centre = blur(centre, np.sqrt(steps[k + 1] ** 2 - steps[k] ** 2))
        centre = halve(centre)
    return found


def trace(unit: np.ndarray, config: Config) -> dict[str, np.ndarray]:
    """Frame -> twin pyramids -> on and off maps -> conspicuity -> saliency at 2x2 pixels.

    `contrast/P/on` and `/off` are the means over all scales of max(0, C - S) and max(0, S - C) of a
    plane, which bicubic interpolation may take below 0; `feature/P` is the mean of both.
    """
    shape = unit.shape[:2]
    out: dict[str, np.ndarray] = {}
    for name, plane in planes(unit, config).items():
        differences = [centre - surround for centre, surround in twin_pyramids(plane)]
        for half, sign in (("on", 1), ("off", -1)):
            maps = [enlarge(np.maximum(sign * d, 0), shape) for d in differences]
            out[f"contrast/{name}/{half}"] = np.mean(maps, axis=0)
        out[f"feature/{name}"] = (out[f"contrast/{name}/on"] + out[f"contrast/{name}/off"]) / 2
    if config.has(Channel.INTENSITY):
        out["conspicuity/intensity"] = out["feature/intensity"]
    if "feature/red_green" in out:
        out["conspicuity/colour"] = (out["feature/red_green"] + out["feature/blue_yellow"]) / 2
    total = combine(out, config, colour=unit.ndim == 3)
    for name in list(out):
        out[name] = two_by_two(out[name])
    # Bicubic interpolation overshoots below 0.
    finish(out, two_by_two(total), to_unit_range(two_by_two(total), unit.max()))
    return out


def two_by_two(x: np.ndarray) -> np.ndarray:
    """Means over 2x2 samples; an odd last row or column is left out."""
    height, width = (n // 2 * 2 for n in x.shape)
    return x[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
