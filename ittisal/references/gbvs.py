"""GBVS with its defaults (Harel, Koch & Perona, NIPS 2006, and its authors' MATLAB code).

Each feature map is a graph whose nodes are samples and whose edges weigh how much two differ, less
with distance. A Markov chain on it dwells on what differs from its surroundings: its equilibrium
is the activation map.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..config import Config
from ..features import ORIENTATIONS, Channel
from . import Gabor, along, attenuate, combine, finish, to_unit_range

LEVELS = (2, 3, 4)  # level 1 has half the frame's size
SIDE = 48  # samples of the longer side of a map
TAPS = np.array([1, 5, 10, 10, 5, 1]) / 32
SMALLEST = 10  # a side of so many samples is not halved
GABOR = Gabor(period=np.pi, width=2.0, length=4.0, half=13)
GABOR_FADE, MAP_FADE = 13, 4
SIGMA = 0.15  # of the mean side: how far an edge reaches
TOLERANCE = 1e-4  # of the power iteration, L2 norm
POWER = 1.5  # concentrates an activation map
BLUR = 0.02  # standard deviation of the last blur, of the longer side

# DKL: per channel, light from a stored value, linear between 17 knots; cone excitations.
GAMMA = np.array(
    [
        [
            0.0249,
            0.0262,
            0.0293,
            0.0362,
            0.0562,
            0.0908,
            0.1373,
            0.2043,
            0.2909,
            0.3892,
            0.489,
            0.5735,
            0.6498,
            0.7163,
            0.789,
            0.8835,
            1,
        ],
        [
            0.0077,
            0.009,
            0.0123,
            0.0202,
            0.0439,
            0.082,
            0.1335,
            0.2051,
            0.2966,
            0.3988,
            0.4972,
            0.5867,
            0.6623,
            0.7293,
            0.7978,
            0.8858,
            1,
        ],
        [
            0.0423,
            0.0435,
            0.0469,
            0.0564,
            0.083,
            0.1214,
            0.1766,
            0.2506,
            0.342,
            0.4371,
            0.5255,
            0.6037,
            0.6737,
            0.7387,
            0.8121,
            0.8964,
            1,
        ],
    ]
)
CONES = np.array(
    [
        [18.32535, 44.60077, 7.46216],
        [4.09544, 28.20135, 6.66066],
        [0.02114, 0.10325, 1.05258],
    ]
)
GREY = np.array([34.9185389578, 19.3147966765, 0.5856108185])  # excitations that opponency is about
SCALE = np.array([0.5774, 2.7525, 0.4526])


def planes(unit: np.ndarray, config: Config) -> dict[str, np.ndarray]:
    """Intensity max(r, g, b), and r, g, b where colour counts."""
    if unit.ndim == 2:
        return {"intensity": unit}
    found = {"intensity": unit.max(axis=2)}
    if config.has(Channel.COLOUR):
        found |= dict(zip(("red", "green", "blue"), np.moveaxis(unit, 2, 0), strict=True))
    return found


def downsample(x: np.ndarray) -> np.ndarray:
    """Half the size by six taps, cut and divided by the taps left at borders (mySubsample)."""
    if min(x.shape) <= SMALLEST:
        return x
    for axis, n in enumerate(x.shape):
        index = 2 * np.arange(n // 2)[:, None] + np.arange(-2, 4)
        weights = np.where((index >= 0) & (index < n), TAPS, 0)
        weights /= weights.sum(axis=1, keepdims=True)
        x = along(x, axis, np.clip(index, 0, n - 1), weights)
    return x


def dkl(r: np.ndarray, g: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Luminance, red-green and blue-yellow after Derrington, Krauskopf & Lennie (rgb2dkl)."""
    table = np.array([np.interp(np.arange(256), np.linspace(0, 255, 17), k) for k in GAMMA])
    light = [
        table[channel, np.clip(np.ceil(255 * plane), 1, 256).astype(int) - 1]
        for channel, plane in enumerate((r, g, b))
    ]
    long, medium, short = (
        sum(weight * plane for weight, plane in zip(cone, light, strict=True)) - grey
        for cone, grey in zip(CONES, GREY, strict=True)
    )
    both = GREY[0] + GREY[1]
    luminance = np.sqrt(3) * (long + medium) / both
    red_green = np.hypot(GREY[0], GREY[1]) * (long / GREY[0] - medium / GREY[1]) / both
    blue_yellow = (short * both / GREY[2] - long - medium) / both
    found = (luminance, red_green, blue_yellow)
    return [scale * x for scale, x in zip(SCALE, found, strict=True)]


def oriented(x: np.ndarray, theta: float) -> np.ndarray:
    """|even| + |odd| of a Gabor pair, borders replicated, then faded."""
    energy = GABOR.energy(np.pad(x, GABOR.half, mode="edge"), theta)
    return attenuate(energy, GABOR_FADE, shared=False)


def map_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of maps: 48 samples on the longer side."""
    height, width = (int(np.floor(SIDE * n / max(shape) + 0.5)) for n in shape)
    return max(height, 1), max(width, 1)


def resize(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bicubic, a = -1/2, widened where it shrinks, borders mirrored (MATLAB's imresize)."""
    for axis, (n, count) in enumerate(zip(x.shape, shape, strict=True)):
        if n == count:
            continue
        scale = min(count / n, 1.0)
        at = (np.arange(count) + 0.5) * n / count - 0.5
        width = 4 / scale
        first = np.floor(at - width / 2).astype(int) + 1
        index = first[:, None] + np.arange(int(np.ceil(width)) + 1)
        d = np.abs(at[:, None] - index) * scale
        near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
        weights = np.where(d <= 1, near, np.where(d < 2, far, 0))
        weights /= weights.sum(axis=1, keepdims=True)
        mirrored = index % (2 * n)
        mirrored = np.where(mirrored < n, mirrored, 2 * n - 1 - mirrored)
        x = along(x, axis, mirrored, weights)
    return x


@lru_cache(maxsize=1)
def nearness(shape: tuple[int, int]) -> np.ndarray:
    """exp(-d^2 / (2 sigma^2)) of every two samples."""
    y, x = np.indices(shape).reshape(2, -1)
    squared = np.subtract.outer(y, y) ** 2 + np.subtract.outer(x, x) ** 2
    return np.exp(-squared / (2 * (SIGMA * np.mean(shape)) ** 2))


def activation(x: np.ndarray, signal: float = 0.0) -> np.ndarray:
    """The equilibrium of a Markov chain between samples, by power iteration from the uniform one.

    The transition from j to i weighs |x_i - x_j| exp(-d^2 / (2 sigma^2)), each column divided by
    its sum. A sample without edges, as all of a flat map, is left out of the sums: its column is 0.
    A map that is flat beside its signal's size, or its own, gives the uniform distribution.
    """
    values = to_unit_range(x, max(signal, np.abs(x).max())).ravel()
    if not values.any():
        return np.full(x.shape, 1 / x.size)
    weights = np.abs(np.subtract.outer(values, values)) * nearness(x.shape)
    sums = weights.sum(axis=0)
    transitions = weights / np.where(sums > 0, sums, 1)
    p, change = np.full(x.size, 1 / x.size), np.inf
    while change > TOLERANCE:
        p, before = transitions @ p, p
        change = float(np.linalg.norm(p - before))
    return (p / p.sum()).reshape(x.shape)


def blur(x: np.ndarray) -> np.ndarray:
    """Gaussian of .02 of the longer side, cut at 2 sigma, borders replicated."""
    sigma = BLUR * max(x.shape)
    half = round(2 * sigma)
    at = np.arange(-half, half + 1)
    taps = np.exp(-(at**2) / (2 * sigma**2))
    for axis, n in enumerate(x.shape):
        x = along(x, axis, np.clip(np.arange(n)[:, None] + at, 0, n - 1), taps / taps.sum())
    return x


def trace(unit: np.ndarray, config: Config) -> dict[str, np.ndarray]:
    """Frame -> pyramids -> feature maps of 48 samples -> activation maps -> sums -> saliency.

    `pyramid/P/L` are intensity, red, green and blue; `map/F/L` a feature at a level, resized;
    `activation/F/L` its activation map to the power of 1.5.
    """
    out: dict[str, np.ndarray] = {}
    shape = map_shape(unit.shape[:2])
    channels = config.channel_weights(colour=unit.ndim == 3)
    brightest = unit.max()
    for name, plane in planes(unit, config).items():
        level = downsample(plane)
        for number in LEVELS:
            out[f"pyramid/{name}/{number}"] = level = downsample(level)
    for number in LEVELS:
        level = out[f"pyramid/intensity/{number}"]
        features: dict[str, np.ndarray] = {}
        if Channel.INTENSITY in channels:
            features["intensity"] = level
        if Channel.COLOUR in channels:
            rgb = (out[f"pyramid/{name}/{number}"] for name in ("red", "green", "blue"))
            names = ("luminance", "red_green", "blue_yellow")
            features |= dict(zip(names, dkl(*rgb), strict=True))
        if Channel.ORIENTATION in channels:
            features |= {f"orientation_{theta}": oriented(level, theta) for theta in ORIENTATIONS}
        for name, x in features.items():
            out[f"map/{name}/{number}"] = resize(x, shape)
            out[f"activation/{name}/{number}"] = (
                activation(out[f"map/{name}/{number}"], brightest) ** POWER
            )
    for channel in channels:
        parts = [
            x
            for name, x in out.items()
            if name.startswith("activation/") and channel_of(name.split("/")[1]) is channel
        ]
        out[f"conspicuity/{channel}"] = np.sum(parts, axis=0)
    total = combine(out, config, colour=unit.ndim == 3)
    faded = to_unit_range(attenuate(total, MAP_FADE, shared=False), total.max())
    finish(out, total, to_unit_range(blur(faded), 1.0))
    return out


def channel_of(feature: str) -> Channel:
    """The channel that a feature belongs to."""
    if feature.startswith("orientation"):
        return Channel.ORIENTATION
    return Channel.INTENSITY if feature == "intensity" else Channel.COLOUR
