"""Graph-based visual saliency (Harel, Koch & Perona 2006): numbers and grids of its authors' code.

Levels of the pyramid are numbered as elsewhere: level 0 is the frame, level 2 a quarter of it.
"""

from __future__ import annotations

import math

import numpy as np

LEVELS = (2, 3, 4)  # features are seen at these
MAP_SIDE = 48  # samples of the maps' longer side
SMALLEST = 10  # a level with a side no longer than this is not halved
TAPS = np.array([1, 5, 10, 10, 5, 1]) / 32  # of one step of the pyramid, at samples 2i - 2 to 2i + 3
PLANES = ("intensity", "red", "green", "blue")  # max(r, g, b), r, g, b
ANGLES = (0, 45, 90, 135)
COLOURS = ("luminance", "red_green", "blue_yellow")  # the axes of DKL
REACH = 13  # of the Gabors, in samples
ENERGY_FADE, MAP_FADE = 13, 4  # samples at the border
SPREAD = 0.15  # of the maps' mean side: standard deviation of the graph's weights
BLUR = 0.02 * MAP_SIDE, 2  # of the last map: standard deviation, and where it is cut
FLAT = 1e-5  # of full scale: a feature's map is flat up to here
GREY_STEP = 1e-3  # of a grey level: float32 rounds no level up to the next

# The display's gamma, per channel at 17 equal steps; levels are looked up in it.
KNOTS = np.array([
    [0.0249, 0.0077, 0.0423], [0.0262, 0.0090, 0.0435], [0.0293, 0.0123, 0.0469],
    [0.0362, 0.0202, 0.0564], [0.0562, 0.0439, 0.0830], [0.0908, 0.0820, 0.1214],
    [0.1373, 0.1335, 0.1766], [0.2043, 0.2051, 0.2506], [0.2909, 0.2966, 0.3420],
    [0.3892, 0.3988, 0.4371], [0.4890, 0.4972, 0.5255], [0.5735, 0.5867, 0.6037],
    [0.6498, 0.6623, 0.6737], [0.7163, 0.7293, 0.7387], [0.7890, 0.7978, 0.8121],
    [0.8835, 0.8858, 0.8964], [1.0000, 1.0000, 1.0000],
])  # fmt: skip
CONES = np.array([[18.32535, 44.60077, 7.46216], [4.09544, 28.20135, 6.66066],
                  [0.02114, 0.10325, 1.05258]])  # fmt: skip
BACKGROUND = np.array([34.918538957799996, 19.314796676499999, 0.5856108185])  # of the cones


def gamma_table() -> np.ndarray:
    """Light of levels 0 to 255 in red, green and blue, float64 of shape (256, 3)."""
    at, knots = np.arange(256), np.linspace(0, 255, len(KNOTS))
    return np.stack([np.interp(at, knots, channel) for channel in KNOTS.T], 1)


def opponent_axes() -> tuple[np.ndarray, np.ndarray]:
    """The matrix and the offset that make DKL of the light of red, green and blue."""
    red, green, blue = BACKGROUND
    factor, length = 1 / (red + green), math.hypot(red, green)
    axes = factor * np.array([
        [math.sqrt(3), math.sqrt(3), 0],
        [length / red, -length / green, 0],
        [-1, -1, (red + green) / blue],
    ])  # fmt: skip
    axes *= np.array([[0.5774], [2.7525], [0.4526]])
    return axes @ CONES, -axes @ BACKGROUND


def level_shape(shape: tuple[int, int], level: int) -> tuple[int, int]:
    """Height and width of a level of frames of such a shape."""
    for _ in range(level):
        if min(shape) > SMALLEST:
            shape = shape[0] // 2, shape[1] // 2
    return shape


def map_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the maps: the longer side has 48 samples."""
    height, width = (max(math.floor(n * MAP_SIDE / max(shape) + 0.5), 1) for n in shape)
    return height, width


def downsampling_weights(n: int) -> np.ndarray:
    """Weights of one step of the pyramid along an axis, float64 of shape (n // 2, 6): of samples
    2i - 2 to 2i + 3. Samples outside are left out and the others made to sum to 1.
    """
    at = 2 * np.arange(n // 2)[:, None] + np.arange(-2, 4)
    weights = np.where((at >= 0) & (at < n), TAPS, 0.0)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def resizing_weights(n: int, count: int) -> np.ndarray:
    """Cubic interpolation of `n` samples at `count` places, float64 of shape (count, n).

    The kernel (a = -1/2) is widened where the samples become fewer; borders are mirrored.
    """
    scale = count / n
    if scale == 1:
        return np.eye(n)
    shrink = min(scale, 1.0)
    centre = (np.arange(count) + 0.5) / scale - 0.5
    at = np.floor(centre - 2 / shrink).astype(int)[:, None] + np.arange(math.ceil(4 / shrink) + 3)
    d = np.abs(centre[:, None] - at) * shrink
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    weights = np.where(d <= 1, near, np.where(d < 2, far, 0.0))
    weights /= weights.sum(1, keepdims=True)
    mirrored = at % (2 * n)
    mirrored = np.where(mirrored >= n, 2 * n - 1 - mirrored, mirrored)
    matrix = np.zeros((count, n))
    np.add.at(matrix, (np.arange(count)[:, None], mirrored), weights)
    return matrix


def fade(n: int, width: int) -> np.ndarray:
    """Factors of a border of so many samples, at most half of the axis."""
    width = min(width, n // 2)
    factors = np.ones(n)
    factors[:width] = np.arange(1, width + 1) / (width + 1)
    factors[n - width :] = factors[:width][::-1]
    return factors


def gabor(angle: float, phase: float) -> np.ndarray:
    """A Gabor filter in degrees: standard deviations 2 and 4, period pi, mean 0, norm 1."""
    theta, at = math.radians(angle), np.arange(-REACH, REACH + 1)
    y, x = at[:, None], at
    along = y * math.cos(theta) - x * math.sin(theta)
    across = y * math.sin(theta) + x * math.cos(theta)
    wave = np.cos(2 * along + math.radians(phase))
    filter_ = wave * np.exp(-(along**2) / 8 - across**2 / 32)
    filter_ -= filter_.mean()
    return np.asarray(filter_ / np.sqrt((filter_**2).sum()))


def graph_weights(n: int, deviation: float) -> np.ndarray:
    """The Gaussian of the distance along one axis, float64 of shape (n, n)."""
    at = np.arange(n)
    return np.asarray(np.exp(-((at[:, None] - at) ** 2) / (2 * deviation**2)))


def blur_taps() -> np.ndarray:
    """The last map's Gaussian."""
    deviation, reach = BLUR
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    return np.asarray(taps / taps.sum())
