"""The SaliencyToolbox with its defaults (Walther & Koch, Neural Networks 19, 2006).

An Itti-Koch model with its authors' own choices, such as luma, hue over the brightest primary,
Gabor filters of 9x9, and N by iterated differences of Gaussians. What looks accidental in its
MATLAB code is done as the code does it.
"""

from __future__ import annotations

import numpy as np

from ..config import CENTRE_LEVELS, DELTAS, MAP_LEVEL, Config
from ..features import ORIENTATIONS, Channel
from . import Gabor, along, attenuate, finish, to_unit_range

LUMA = (0.298936, 0.587043, 0.114021)  # MATLAB's rgb2gray
DARK = 0.1  # of full scale: darker pixels have no hue
TAPS = np.array([1, 1, 5, 10, 10, 5, 1]) / 33  # seven, and the sum is 33: as the code has it
GABOR = Gabor(period=7.0, width=2.3333, length=2.3333, half=4)
ITERATIONS = 3
RANGE, SALIENCY_RANGE = 10.0, 2.0


def planes(unit: np.ndarray, config: Config) -> dict[str, np.ndarray]:
    """Luma, and the Walther variant of opponency."""
    if unit.ndim == 2:
        return {"intensity": unit}
    r, g, b = np.moveaxis(unit, 2, 0)
    found = {"intensity": LUMA[0] * r + LUMA[1] * g + LUMA[2] * b}
    if config.has(Channel.COLOUR):
        brightest = unit.max(axis=2)
        divisor = np.where(brightest >= DARK, brightest, np.inf)
        found |= {"red_green": (r - g) / divisor, "blue_yellow": (b - np.minimum(r, g)) / divisor}
    return found


def filtered(x: np.ndarray, taps: np.ndarray, axis: int) -> np.ndarray:
    """Correlation along an axis, divided by the share of the taps that lies inside."""
    n, reach = x.shape[axis], len(taps) // 2
    index = np.arange(n)[:, None] + np.arange(-reach, reach + 1)
    weights = np.where((index >= 0) & (index < n), taps, 0)
    share = weights.sum(axis=1, keepdims=True) / taps.sum()
    return along(x, axis, np.clip(index, 0, n - 1), weights / share)


def downsample(x: np.ndarray) -> np.ndarray:
    """Samples 0, 2, 4, ... of the filtered level; sides of 2 and 3 samples become one."""
    small = min(x.shape) <= 3
    for axis in (1, 0):
        n = x.shape[axis]
        if small and n <= 3:
            x = x.take({1: [0], 2: [0, 1], 3: [0, 1, 1, 2]}[n], axis).mean(axis, keepdims=True)
        else:
            x = filtered(x, TAPS, axis).take(range(0, n - 1, 2), axis)
    return x


def oriented(x: np.ndarray, theta: float) -> np.ndarray:
    """|even| + |odd| of a Gabor pair, zeros outside.

    The code divides the first and last four rows by what is left of the filter's sum there, and
    multiplies them by the sum, which is 0: they are 0 but for their first and last four samples.
    """
    half = GABOR.half
    energy = GABOR.energy(np.pad(x, half), theta)
    if len(x) >= half:
        energy[:half, half : x.shape[1] - half] = energy[-half:, half : x.shape[1] - half] = 0
    return energy


def nearest(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Nearest neighbour."""
    for axis, (n, count) in enumerate(zip(x.shape, shape, strict=True)):
        at = np.floor((np.arange(count) + 0.5) * n / count).astype(int)
        x = x.take(at.clip(0, n - 1), axis)
    return x


def gaussian(amplitude: float, sigma: float, shape: tuple[int, int]) -> np.ndarray:
    """1-D kernel amplitude/(sigma sqrt(2 pi)) e^(-i^2/2 sigma^2), cut at 1 %."""
    half = int(sigma * np.sqrt(-2 * np.log(0.01)))
    cap = max(0, min(shape) // 2 - 1)  # 0 means no cap
    half = min(half, cap or half)
    i = np.arange(-half, half + 1)
    return amplitude / (sigma * np.sqrt(2 * np.pi)) * np.exp(-(i**2) / (2 * sigma**2))


def normalise(x: np.ndarray, to: float | None = None, signal: float = 1.0) -> np.ndarray:
    """N: X <- max(0, x + excitation - inhibition - 0.02 max x), three times (IK00).

    With `to` the map is rescaled to [0, to] first. One that is flat beside its signal's size would
    be `to` / 2 everywhere in the code, or rounding; this makes it 0: nothing stands out.
    """
    x = to * to_unit_range(np.maximum(x, 0), signal) if to is not None else np.maximum(x, 0)
    side = max(x.shape)
    kernels = [gaussian(0.5, 0.02 * side, x.shape), gaussian(1.5, 0.25 * side, x.shape)]
    for _ in range(ITERATIONS):
        excitation, inhibition = (filtered(filtered(x, k, 0), k, 1) for k in kernels)
        x = np.maximum(0, x + excitation - inhibition - 0.02 * x.max())
    return x


def trace(unit: np.ndarray, config: Config) -> dict[str, np.ndarray]:
    """Frame -> pyramids -> centre-surround at level 4 -> N -> conspicuity -> saliency.

    `pyramid/P/L` and `orientation/THETA/L`; `centre_surround/F/c-s`; `normalised/F/c-s`;
    `feature/F`, the sum of those; `weighted/F`, N of that in channels of several features.
    """
    out: dict[str, np.ndarray] = {}
    channels = config.channel_weights(colour=unit.ndim == 3)
    pyramids: dict[str, list[np.ndarray]] = {}
    for name, plane in planes(unit, config).items():
        levels = [plane]
        while min(levels[-1].shape) > 1:
            levels.append(downsample(levels[-1]))
        pyramids[name] = levels
        out |= {f"pyramid/{name}/{level}": x for level, x in enumerate(levels)}
    features = {Channel.INTENSITY: ["intensity"], Channel.COLOUR: ["red_green", "blue_yellow"]}
    if Channel.ORIENTATION in channels:
        features[Channel.ORIENTATION] = [f"orientation_{theta}" for theta in ORIENTATIONS]
        for theta in ORIENTATIONS:
            levels = [oriented(x, theta) for x in pyramids["intensity"]]
            pyramids[f"orientation_{theta}"] = levels
            out |= {f"orientation/{theta}/{level}": x for level, x in enumerate(levels)}
    brightest = (unit if unit.ndim == 2 else unit.mean(axis=2)).max()
    for channel, weight in channels.items():
        signal = 1.0 if channel is Channel.COLOUR else brightest
        for name in features[channel]:
            total = feature(out, name, pyramids[name], signal)
            out[f"weighted/{name}"] = normalise(total) if len(features[channel]) > 1 else total
        parts = [out[f"weighted/{name}"] for name in features[channel]]
        out[f"conspicuity/{channel}"] = np.sum(parts, axis=0)
        out[f"contribution/{channel}"] = weight * normalise(out[f"conspicuity/{channel}"])
    total = np.sum([out[f"contribution/{channel}"] for channel in channels], axis=0)
    finish(out, total, normalise(total, SALIENCY_RANGE))
    return out


def feature(
    out: dict[str, np.ndarray], name: str, levels: list[np.ndarray], signal: float
) -> np.ndarray:
    """The sum of N of the centre-surround maps; all are added to `out`."""
    shape = levels[MAP_LEVEL].shape
    resized = [nearest(level, (shape[0], shape[1])) for level in levels]
    width = int(np.floor(max(shape) / 20 + 0.5))
    pairs = [(c, c + d) for c in CENTRE_LEVELS for d in DELTAS if c + d < len(levels)]
    for c, s in pairs:
        x = attenuate(np.abs(resized[c] - resized[s]), width, shared=True)
        out[f"centre_surround/{name}/{c}-{s}"] = x
        out[f"normalised/{name}/{c}-{s}"] = normalise(x, RANGE, signal)
    maps = [out[f"normalised/{name}/{c}-{s}"] for c, s in pairs]
    out[f"feature/{name}"] = np.sum(maps, axis=0)
    return out[f"feature/{name}"]
