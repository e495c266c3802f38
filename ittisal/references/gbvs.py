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

COLOURS = ("luminance", "red_green", "blue_yellow")
ENERGIES = tuple(f"orientation_{theta}" for theta in ORIENTATIONS)
LEVELS = (2, 3, 4)  # level 1 has half the frame's size
SIDE = 48  # samples of the longer side of a map
TAPS = np.array([1, 5, 10, 10, 5, 1]) / 32
SMALLEST = 10  # a side of so many samples is not halved
GABOR = Gabor(period=np.pi, width=2.0, length=4.0, half=13)
GABOR_FADE, MAP_FADE = 13, 4
SIGMA = 0.15  # of the mean side: how far an edge reaches
FLAT = 1e-5  # of the signal: flat up to here; float32 leaves 2e-6 of a flat frame's energies
GREY_STEP = 1e-3  # of a grey level: a value is not looked up as the next one for so little more
POWER = 1.5  # concentrates an activation map
BLUR = 0.02  # standard deviation of the last blur, of the longer side

# DKL: per channel, light from a stored value, linear between 17 knots; cone excitations.
GAMMA = np.array([
    [.0249, .0262, .0293, .0362, .0562, .0908, .1373, .2043, .2909,
     .3892, .4890, .5735, .6498, .7163, .7890, .8835, 1],
    [.0077, .0090, .0123, .0202, .0439, .0820, .1335, .2051, .2966,
     .3988, .4972, .5867, .6623, .7293, .7978, .8858, 1],
    [.0423, .0435, .0469, .0564, .0830, .1214, .1766, .2506, .3420,
     .4371, .5255, .6037, .6737, .7387, .8121, .8964, 1],
])  # fmt: skip
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


def level_shape(shape: tuple[int, int], level: int) -> tuple[int, int]:
    """(height, width) of a level of a frame."""
    for _ in range(level):
        if min(shape) > SMALLEST:
            shape = shape[0] // 2, shape[1] // 2
    return shape


def halving(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The six samples that each of half as many comes from, and their weights: those outside are
    cut, and the others divided by their sum (mySubsample).
    """
    index = 2 * np.arange(n // 2)[:, None] + np.arange(-2, 4)
    weights = np.where((index >= 0) & (index < n), TAPS, 0)
    return index, weights / weights.sum(axis=1, keepdims=True)


def downsample(x: np.ndarray) -> np.ndarray:
    """Half the size; as it is if a side is short."""
    if min(x.shape) > SMALLEST:
        for axis, n in enumerate(x.shape):
            index, weights = halving(n)
            x = along(x, axis, np.clip(index, 0, n - 1), weights)
    return x


def light_table() -> np.ndarray:
    """The display's light for values 0 to 255 of red, green and blue, shape (3, 256)."""
    return np.array([np.interp(np.arange(256), np.linspace(0, 255, 17), k) for k in GAMMA])


def dkl(r: np.ndarray, g: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Luminance, red-green and blue-yellow after Derrington, Krauskopf & Lennie (rgb2dkl).

    A value v is looked up at ceil(255 v), counted from 1.
    """
    table = light_table()
    return opponents(*(
        table[channel, np.clip(255 * plane - GREY_STEP, 0, 255).astype(int)]
        for channel, plane in enumerate((r, g, b))
    ))  # fmt: skip


def opponents(*light: np.ndarray) -> list[np.ndarray]:
    """The three axes from the light of red, green and blue."""
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


def opponent_matrix() -> np.ndarray:
    """Of each axis the factors of red, green and blue light, and what is added."""
    offset = np.array(opponents(*np.zeros(3)))
    return np.column_stack([np.array(opponents(*np.eye(3))) - offset[:, None], offset])


def oriented(x: np.ndarray, theta: float) -> np.ndarray:
    """|even| + |odd| of a Gabor pair, borders replicated, then faded."""
    energy = GABOR.energy(np.pad(x, GABOR.half, mode="edge"), theta)
    return attenuate(energy, GABOR_FADE, shared=False)


def fade(n: int, width: int) -> np.ndarray:
    """Factors along an axis of `n` samples that fade so many at each end."""
    return attenuate(np.ones((n, 1)), width, shared=False)[:, 0]


def map_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of maps: 48 samples on the longer side."""
    height, width = (int(np.floor(SIDE * n / max(shape) + 0.5)) for n in shape)
    return max(height, 1), max(width, 1)


def resizing(n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The samples that each of `count` comes from, and their weights: bicubic, a = -1/2, widened
    where it shrinks, borders mirrored (MATLAB's imresize).
    """
    scale = min(count / n, 1.0)
    at = (np.arange(count) + 0.5) * n / count - 0.5
    width = 4 / scale
    first = np.floor(at - width / 2).astype(int) + 1
    index = first[:, None] + np.arange(int(np.ceil(width)) + 1)
    d = np.abs(at[:, None] - index) * scale
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    weights = np.where(d <= 1, near, np.where(d < 2, far, 0))
    mirrored = index % (2 * n)
    mirrored = np.where(mirrored < n, mirrored, 2 * n - 1 - mirrored)
    return mirrored, weights / weights.sum(axis=1, keepdims=True)


def resize(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A map of another size."""
    for axis, (n, count) in enumerate(zip(x.shape, shape, strict=True)):
        x = along(x, axis, *resizing(n, count))
    return x


def nearness_along(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """exp(-d^2 / (2 sigma^2)) of every two rows, and of every two columns."""
    sigma = SIGMA * np.mean(shape)
    rows, columns = (
        np.exp(-(np.subtract.outer(np.arange(n), np.arange(n)) ** 2) / (2 * sigma**2))
        for n in shape
    )
    return rows, columns


@lru_cache(maxsize=1)
def nearness(shape: tuple[int, int]) -> np.ndarray:
    """exp(-d^2 / (2 sigma^2)) of every two samples."""
    return np.kron(*nearness_along(shape))


def activation(x: np.ndarray, signal: float = 0.0) -> np.ndarray:
    """The equilibrium of a Markov chain between samples.

    The transition from j to i weighs |x_i - x_j| exp(-d^2 / (2 sigma^2)), each column divided by
    its sum. The weights are symmetric, so in equilibrium each sample has its share of their sum.
    The authors' code nears it by power iteration until a step changes it by less than 1e-4 (L2),
    which differs in the last map by a correlation of .9995 to .9999. A map that is flat beside its
    signal's size, or its own, gives the uniform distribution.
    """
    if np.ptp(x) <= FLAT * max(signal, np.abs(x).max()):
        return np.full(x.shape, 1 / x.size)
    values = x.ravel() / np.ptp(x)
    sums = (np.abs(np.subtract.outer(values, values)) * nearness(x.shape)).sum(axis=0)
    return np.asarray((sums / sums.sum()).reshape(x.shape))


def blur_taps() -> np.ndarray:
    """A Gaussian of .02 of the longer side, cut at 2 sigma."""
    sigma = BLUR * SIDE
    half = round(2 * sigma)
    taps = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * sigma**2))
    return np.asarray(taps / taps.sum())


def blurring(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The samples that each comes from, borders replicated, and their weights."""
    taps = blur_taps()
    at = np.arange(n)[:, None] + np.arange(len(taps)) - len(taps) // 2
    return at.clip(0, n - 1), np.broadcast_to(taps, at.shape)


def blur(x: np.ndarray) -> np.ndarray:
    """The faded sum, blurred by these taps."""
    for axis, n in enumerate(x.shape):
        x = along(x, axis, *blurring(n))
    return x


def trace(unit: np.ndarray, config: Config) -> dict[str, np.ndarray]:
    """Frame -> pyramids -> feature maps of 48 samples -> activation maps -> sums -> saliency.

    `pyramid/P/L` are intensity, red, green and blue; `map/F/L` a feature at a level, resized;
    `activation/F/L` its activation map to the power of 1.5.
    """
    out: dict[str, np.ndarray] = {}
    shape = map_shape(unit.shape[:2])
    channels = config.channel_weights(colour=unit.ndim == 3)
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
            features |= dict(zip(COLOURS, dkl(*rgb), strict=True))
        if Channel.ORIENTATION in channels:
            energies = (oriented(level, theta) for theta in ORIENTATIONS)
            features |= dict(zip(ENERGIES, energies, strict=True))
        for name, x in features.items():
            out[f"map/{name}/{number}"] = resize(x, shape)
            out[f"activation/{name}/{number}"] = (
                activation(out[f"map/{name}/{number}"], level.max()) ** POWER
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
