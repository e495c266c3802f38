"""The model in plain float64 NumPy, one function per equation: the truth all backends match.

Written to be read beside the papers: no buffers, no fusing, nothing in place. It shares the table
of features with the fast backends, but neither geometry nor constants, so that an error cannot
hide in both. Arrays are indexed [y, x], y down. Short names of sources are in `ittisal.config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from . import references
from .config import (
    CENTRE_LEVELS,
    DELTAS,
    ITTI_1998,
    MAP_LEVEL,
    MIN_SIDE,
    TOP_LEVEL,
    Config,
    Contrast,
    HueReference,
    Normalisation,
    Opponency,
    PeakMean,
    Phase,
    SmallFrames,
    Smoothing,
    Upsampling,
)
from .features import DIRECTIONS, FEATURES, ORIENTATIONS, TEMPORAL, Channel, Model, Signal

TAPS_5 = np.array([1, 4, 6, 4, 1]) / 16
TAPS_9 = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1]) / 256
WHITENED_PLANES = ("intensity", "red_green", "blue_yellow")  # decorrelated in this order
SCALES = (0, 1, 2, 3)  # levels above the finest whose oriented energies are whitened together
RANGE = 10.0  # M: N rescales every map to [0, M] (iNVT; P98 leaves it open)
PLATEAU = 1e-4  # neighbours closer than this fraction of a map's range are one plateau
HALF_A_PEAK = 0.5  # maxima are counted in fractions; less than this is none
DARK = 1e-9  # of full scale: intensity has no hue up to here; the least signal for the flat test
FRAME_SECONDS = 1 / 30  # assumed between frames that come without times
FLICKER_SECONDS = 0.03  # time in which flicker's background forgets the frames before (iNVT)
REST = 1e-4  # of full scale, 6 counts in 65535: less flicker is none while its background decays
RIDGE = 1e-2  # of the mean variance, added to each variance before whitening
SOFT = 0.01  # standard deviations: surroundedness is sqrt(x + SOFT) - sqrt(SOFT)
PROMOTION = 20.0  # value of N, of 0 to 1000, that doubles what a figure counts
MOVING_FIGURE = 2.0  # surroundedness that flicker and motion have without an outline; 0 to 6
LONE_PEAKS = {"maxnorm": 1000.0, "iterative": 100.0, "none": 1.0}  # what N leaves of one, about
PROGRAM_TOPS = {"toolbox": 2.0, "vocus2": 1.0, "gbvs": 1.0}  # of a program's map, about
CORNERS_ACROSS = 256  # samples of the longer side, at most, where corners are found
SPARSE, DENSE = 0.55, 0.65  # density of corners: of isolated items, at most; of scenes, at least
FLAT = 2e-6  # of the signal: flat up to here; float32 rounds constant frames to within 7e-7
NO_MAPS: Mapping[str, np.ndarray] = MappingProxyType({})


# --- the frame ---------------------------------------------------------------------------------


def to_unit(frame: np.ndarray, config: Config = ITTI_1998, channel_order: str = "rgb"):
    """(H, W, 3) RGB or (H, W) grey, float64 in [0, 1], from integer or float pixels."""
    unit = np.asarray(frame, dtype=np.float64)
    if np.issubdtype(frame.dtype, np.integer):
        unit = unit / np.iinfo(frame.dtype).max
    if unit.ndim == 3 and channel_order == "bgr":
        unit = unit[..., ::-1]
    if config.linear:  # IEC 61966-2-1
        unit = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    return unit


def intensity(unit: np.ndarray) -> np.ndarray:
    """I = (r + g + b) / 3 (P98, eq. 1)."""
    return unit if unit.ndim == 2 else unit.mean(axis=2)


def opponency(rgb: np.ndarray, config: Config = ITTI_1998) -> tuple[np.ndarray, np.ndarray]:
    """Signed red-green and blue-yellow planes at full resolution.

    P98 prints the surround terms of eqs. 2-3 swapped; with them a uniform red field would
    respond. Signed planes, differenced like any other, are what the authors' code computes.
    """
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    if config.opponency is Opponency.LINEAR:
        return r - g, b - (r + g) / 2
    if config.opponency is Opponency.WALTHER:
        brightness = divisor = rgb.max(axis=2)
    else:
        brightness = intensity(rgb)
        divisor = rgb.sum(axis=2) if config.opponency is Opponency.INVT else brightness
    top = brightness.max() if config.hue_reference is HueReference.FRAME else 1.0
    # A pixel at exactly the threshold has no hue, whatever the rounding: hence the 1e-6.
    hued = brightness > max(config.hue_threshold * (1 + 1e-6) * top, DARK)
    r, g, b = (np.divide(x, divisor, out=np.zeros_like(x), where=hued) for x in (r, g, b))
    if config.opponency is Opponency.WALTHER:
        return r - g, b - np.minimum(r, g)
    red = np.maximum(r - (g + b) / 2, 0)
    green = np.maximum(g - (r + b) / 2, 0)
    blue = np.maximum(b - (r + g) / 2, 0)
    if config.opponency is Opponency.INVT:
        yellow = np.maximum(2 * ((r + g) / 2 - np.abs(r - g) - b), 0)
    else:
        yellow = np.maximum((r + g) / 2 - np.abs(r - g) / 2 - b, 0)
    return red - green, blue - yellow


# --- levels ------------------------------------------------------------------------------------


def map_level(shape: tuple[int, int], config: Config) -> int:
    """The level of the saliency map: 4, or finer by the octave shift of a small frame."""
    return MAP_LEVEL - config.octave_shift(shape)


def centre_levels(shape: tuple[int, int], config: Config) -> list[int]:
    """C: 2, 3, 4 (P98), shifted."""
    return [c - config.octave_shift(shape) for c in CENTRE_LEVELS]


def top_level(shape: tuple[int, int], config: Config) -> int:
    """The coarsest level that exists: 8, shifted, if clamped, else at most the last of a pixel."""
    coarsest = TOP_LEVEL - config.octave_shift(shape)
    if config.small_frames is SmallFrames.CLAMP:
        return coarsest
    return min(coarsest, int(np.log2(min(shape))))


# --- pyramids ----------------------------------------------------------------------------------


def filter_axis(x: np.ndarray, taps: np.ndarray, axis: int) -> np.ndarray:
    """Correlate along one axis, zero outside, `taps` centred on each sample."""
    n, half, before = x.shape[axis], len(taps) // 2, (slice(None),) * axis
    padded = np.zeros((*x.shape[:axis], n + 2 * half, *x.shape[axis + 1 :]), x.dtype)
    padded[(*before, slice(half, half + n))] = x
    return sum(t * padded[(*before, slice(k, k + n))] for k, t in enumerate(taps))


def low_pass(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Separable low-pass; at borders the kernel is cut and divided by the taps left inside."""
    for axis in (0, 1):
        shape = [-1 if a == axis else 1 for a in (0, 1)]
        inside = filter_axis(np.ones(x.shape[axis]), taps, 0).reshape(shape)
        x = filter_axis(x, taps, axis) / inside
    return x


def decimate(x: np.ndarray, phase: Phase) -> np.ndarray:
    """Every 2x2 block's mean (centred) or first sample (even); floor(n/2), at least 1."""
    if phase is Phase.EVEN:
        return x[: max(x.shape[0] // 2, 1) * 2 : 2, : max(x.shape[1] // 2, 1) * 2 : 2]
    for axis in (0, 1):
        n = x.shape[axis] // 2
        if n:  # a side of one pixel stays
            x = (x.take(range(0, 2 * n, 2), axis) + x.take(range(1, 2 * n, 2), axis)) / 2
    return x


def downsample(x: np.ndarray, config: Config, taps: np.ndarray = TAPS_5) -> np.ndarray:
    """One step of the Gaussian pyramid (P98): low-pass, then decimate."""
    return decimate(low_pass(x, taps), config.phase)


def pyramid(plane: np.ndarray, config: Config, taps: np.ndarray = TAPS_5) -> list[np.ndarray]:
    """Levels 0 to the coarsest."""
    levels = [plane]
    for _ in range(top_level(plane.shape, config)):
        levels.append(downsample(levels[-1], config, taps))
    return levels


# --- orientation -------------------------------------------------------------------------------


def attenuate(x: np.ndarray, width: int) -> np.ndarray:
    """Fade towards the borders (iNVT): the k-th row or column from one is scaled by k / (b + 1).

    One width for both axes, limited by the shorter side: b = min(width, h // 2, w // 2).
    """
    b = min(width, *(n // 2 for n in x.shape))
    nearest = (np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) for n in x.shape)
    rows, columns = (np.minimum(k / (b + 1), 1) for k in nearest)
    return x * rows[:, None] * columns


def oriented_energy(band: np.ndarray, theta: int, wavenumber: float) -> np.ndarray:
    """|LP9(band . e^(i k.x))|: a quadrature pair with a binomial envelope (G94; iNVT).

    `theta` is the bar's direction; the wave vector stands at right angles to it.
    """
    phi = np.deg2rad(theta + 90)
    y, x = (np.arange(n) - n // 2 for n in band.shape)
    angle = wavenumber * (np.cos(phi) * x[None, :] + np.sin(phi) * y[:, None])
    real = low_pass(band * np.cos(angle), TAPS_9)
    imaginary = low_pass(band * np.sin(angle), TAPS_9)
    return np.hypot(real, imaginary)


def orientation(level: np.ndarray, config: Config) -> dict[int, np.ndarray]:
    """Energy per orientation of one level; the band-pass removes luminance."""
    band = level - low_pass(level, TAPS_9)
    fade = 5 if config.border_attenuation else 0
    return {
        theta: attenuate(oriented_energy(band, theta, config.wavenumber), fade)
        for theta in ORIENTATIONS
    }


# --- place -------------------------------------------------------------------------------------


def centre_prior(shape: tuple[int, int], map_shape: tuple[int, int], config: Config) -> np.ndarray:
    """A Gaussian about the middle of a frame of `shape`, at the samples of its map.

    Its standard deviation is a fraction of each side. With n = 2^level pixels per sample, sample i
    lies at pixel n (i + 1/2) - 1/2, or at n i with even sampling; pixel j is the middle of
    [j, j + 1] / side.
    """
    size = 2 ** map_level(shape, config)
    offset = 0 if config.phase is Phase.EVEN else (size - 1) / 2
    pixels = [size * np.arange(n) + offset for n in map_shape]
    y, x = ((at + 0.5) / n - 0.5 for at, n in zip(pixels, shape, strict=True))
    return np.exp(-(y[:, None] ** 2 + x**2) / (2 * config.centre_prior**2))


# --- time --------------------------------------------------------------------------------------


class Past(NamedTuple):
    """What a frame leaves for the next one."""

    background: np.ndarray  # of intensity, for flicker
    brightest: float  # the background's highest intensity, at most
    levels: list[np.ndarray]  # of the intensity pyramid
    saliency: np.ndarray  # smoothed
    statistics: dict[str, np.ndarray]  # running, of whitening


def next_background(now, before, elapsed: float):
    """P + min(1, dt / 0.03 s) (I - P): flicker's background decays towards the frame (iNVT).

    Flicker is |I - P|. With 30 ms or more between frames P is the last frame.
    """
    return before + min(1, elapsed / FLICKER_SECONDS) * (now - before)


def shifted(x: np.ndarray, direction: int) -> np.ndarray:
    """`x` moved by one sample: 0 right, 90 up, 180 left, 270 down; zeros enter."""
    dy, dx = {0: (0, 1), 90: (-1, 0), 180: (0, -1), 270: (1, 0)}[direction]
    height, width = x.shape
    return np.pad(x, 1)[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]


def motion(level: np.ndarray, before: np.ndarray, direction: int, threshold: float) -> np.ndarray:
    """Reichardt's detector of one sample per frame (IDP03): I S(P) - P S(I).

    I is the frame, P the last one, S shifts by one sample. A response under the threshold is
    none. At level L the detector prefers 2^L pixels per frame.
    """
    response = level * shifted(before, direction) - before * shifted(level, direction)
    return np.where(response >= threshold, response, 0)


def smoothed(saliency: np.ndarray, past: Past | None, elapsed: float, config: Config) -> np.ndarray:
    """V + a (S - V), the smoothing factor a fixed or by time; see `Smoothing`."""
    if past is None or config.smoothing is Smoothing.NONE:
        return saliency
    factor = config.smoothing_rate
    if config.smoothing is Smoothing.LEAKY:
        factor = 1 - np.exp(-elapsed / config.smoothing_seconds)
    return past.saliency + factor * (saliency - past.saliency)


# --- centre-surround ---------------------------------------------------------------------------


def pairs(shape: tuple[int, int], config: Config) -> list[tuple[int, int]]:
    """The (c, s) that this frame has: 2-5, 2-6, 3-6, 3-7, 4-7, 4-8 from 256 pixels up, shifted."""
    top = top_level(shape, config)
    return [(c, c + d) for c in centre_levels(shape, config) for d in DELTAS if c + d <= top]


def upsample(x: np.ndarray, shape: tuple[int, int], delta: int, config: Config) -> np.ndarray:
    """Interpolate `delta` levels up on the pyramid's grid, by exactly 2^delta."""
    for axis in (0, 1):
        p, n = np.arange(shape[axis]), x.shape[axis]
        if config.upsampling is Upsampling.REPLICATE:
            x = x.take(np.minimum(p >> delta, n - 1), axis)
            continue
        at = (p + 0.5) / 2**delta - 0.5 if config.phase is Phase.CENTRED else p / 2**delta
        at = np.clip(at, 0, n - 1)
        low = np.minimum(at.astype(int), max(n - 2, 0))
        t = (at - low).reshape([-1 if a == axis else 1 for a in (0, 1)])
        x = (1 - t) * x.take(low, axis) + t * x.take(np.minimum(low + 1, n - 1), axis)
    return x


def centre_surround(
    centre: np.ndarray, surround: np.ndarray, delta: int, rectifiable: bool, config: Config
) -> list[np.ndarray]:
    """|centre - surround| (P98, eqs. 1-4): one map, or its two halves, faded at the borders."""
    difference = centre - upsample(surround, centre.shape, delta, config)
    if config.split_cs:
        maps = [np.maximum(difference, 0), np.maximum(-difference, 0)]
    elif rectifiable and config.orientation_contrast is Contrast.RECTIFIED:
        maps = [np.maximum(difference, 0)]
    else:
        maps = [np.abs(difference)]
    fade = max(centre.shape) // 20 if config.border_attenuation else 0
    return [attenuate(x, fade) for x in maps]


# --- the operator N ----------------------------------------------------------------------------


def flat(signal):
    """The range up to which a map, or its standard deviation, is flat beside its signal's size."""
    return FLAT * np.maximum(signal, DARK)


def rescale(x: np.ndarray, low: float, high: float, signal: float, to: float) -> np.ndarray:
    """[low, high] to [0, to]; a map that is flat beside its signal becomes 0."""
    if high - low <= flat(signal):
        return np.zeros_like(x)
    return (x - low) * (to / (high - low))


def local_maxima(
    x: np.ndarray, threshold: float, peak_mean: PeakMean
) -> tuple[np.ndarray, np.ndarray]:
    """Interior values at least `threshold` and not below any of four neighbours; their counts.

    iNVT (`all`) counts every sample of a plateau as 1. Then an object half-way between two samples
    is two equal peaks, which N sets to 0, or not, by the last bit. For P98's mean (`others`) two
    samples that touch, or four, count once: each has 1 / ((1 + a) (1 + b)), a and b the neighbours
    in its row and column that are closer than PLATEAU of the range. Broad plateaus count for more.
    """
    inner = x[1:-1, 1:-1]
    row, column = (x[1:-1, :-2], x[1:-1, 2:]), (x[:-2, 1:-1], x[2:, 1:-1])
    if peak_mean is PeakMean.ALL:
        peak = np.logical_and.reduce([inner >= n for n in (*row, *column)])
        counts = np.ones(inner.shape)
    else:
        near = PLATEAU * (x.max() - x.min())
        peak = np.logical_and.reduce([inner + near >= n for n in (*row, *column)])
        a, b = (sum(n >= inner - near for n in pair) for pair in (row, column))
        counts = 1 / ((1.0 + a) * (1 + b))
    peak &= inner >= threshold
    return inner[peak], counts[peak]


def maxnorm_factor(x: np.ndarray, threshold: float, peak_mean: PeakMean) -> float:
    """(M - m)^2, M the map's maximum, m the mean of its local maxima (P98: of the others)."""
    top = x.max()
    peaks, counts = local_maxima(x, threshold, peak_mean)
    total, count = (peaks * counts).sum(), counts.sum()
    if peak_mean is PeakMean.ALL:  # iNVT: none leaves the map as it is, one promotes it fully
        return 1.0 if count == 0 else top**2 if count == 1 else (top - total / count) ** 2
    at_top = counts[peaks >= top - PLATEAU * (top - x.min())].sum()
    total, count = total - top * min(at_top, 1), count - min(at_top, 1)  # without the global one
    return (top - (np.clip(total / count, 0, top) if count > HALF_A_PEAK else 0)) ** 2


def gaussian(amplitude: float, sigma: float, shape: tuple[int, int]) -> np.ndarray:
    """1-D kernel amplitude/(sigma sqrt(2 pi)) e^(-i^2/2 sigma^2), cut at 1 % (iNVT)."""
    half = int(sigma * np.sqrt(-2 * np.log(0.01)))
    cap = max(0, min(shape) // 2 - 1)  # 0 means no cap
    i = np.arange(-min(half, cap or half), min(half, cap or half) + 1)
    return amplitude / (sigma * np.sqrt(2 * np.pi)) * np.exp(-(i**2) / (2 * sigma**2))


def iterate(x: np.ndarray, iterations: int) -> np.ndarray:
    """X <- max(0, x + excitation - inhibition - 0.02 max x), repeatedly (IK00)."""
    side = max(x.shape)
    kernels = [gaussian(0.5, 0.02 * side, x.shape), gaussian(1.5, 0.25 * side, x.shape)]
    for _ in range(iterations):
        excitation, inhibition = (low_pass(x, k) * k.sum() ** 2 for k in kernels)
        x = np.maximum(0, x + excitation - inhibition - 0.02 * x.max())
    return x


def normalise(
    maps: list[np.ndarray], signal: float, config: Config, *, first: bool = True, to: float = RANGE
) -> np.ndarray:
    """N(.): promote maps with few strong peaks, suppress those with many alike (P98).

    `maps` is one map, or the two halves of a split one. Halves have one range, so that an empty
    one is not amplified; each is measured by its own maximum; they are added. `signal` is the
    signal's size, for the flat test. `first` is False after the feature maps, where `iterative`
    does not rescale again (iNVT).
    """
    maps = [np.maximum(x, 0) for x in maps]
    low, high = min(x.min() for x in maps), max(x.max() for x in maps)
    if config.normalisation is Normalisation.NONE:
        return np.sum([rescale(x, low, high, signal, 1.0) for x in maps], axis=0)
    if config.normalisation is Normalisation.ITERATIVE:
        if first or to != RANGE:
            maps = [rescale(x, low, high, signal, to) for x in maps]
        return np.sum([iterate(x, config.iterations) for x in maps], axis=0)
    maps = [rescale(x, low, high, signal, to) for x in maps]
    return np.sum([x * maxnorm_factor(x, to / 10, config.peak_mean) for x in maps], axis=0)


# --- whitening ---------------------------------------------------------------------------------


def statistics(maps: list[np.ndarray]) -> np.ndarray:
    """Mean and covariance of n maps over a frame: (n, 1 + n), the means in the first column."""
    x = np.stack([m.ravel() for m in maps])
    mean = x.mean(axis=1, keepdims=True)
    return np.hstack([mean, (x - mean) @ (x - mean).T / x.shape[1]])


def cholesky_factor(statistics: np.ndarray) -> np.ndarray:
    """L, L L' the covariance with a ridge on its diagonal. Its inverse is the whitening matrix."""
    covariance, n = statistics[:, 1:], len(statistics)
    ridge = RIDGE * np.trace(covariance) / n + DARK**2
    return np.linalg.cholesky(covariance + ridge * np.eye(n))


def varies(statistics: np.ndarray, signals: list[float]) -> np.ndarray:
    """For each map, whether its standard deviation is not flat beside its signal."""
    return np.sqrt(np.diag(statistics[:, 1:])) > flat(signals)


def whiten(
    maps: list[np.ndarray], statistics: np.ndarray, signals: list[float]
) -> list[np.ndarray]:
    """Uncorrelated maps of unit variance: the solution z of L z = x - mean.

    AWS (Garcia-Diaz et al. 2012) whitens by principal components. By the Cholesky factor the
    first map keeps its shape, and each next one is its residual given those before. A map that
    does not vary becomes 0.
    """
    x = np.stack([m.ravel() for m in maps]) - statistics[:, :1]
    z = np.linalg.solve(cholesky_factor(statistics), x)
    z[~varies(statistics, signals)] = 0
    return [row.reshape(maps[0].shape) for row in z]


def mahalanobis(maps: list[np.ndarray], statistics: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distance |z|^2 from the mean, of one orientation's scales (AWS)."""
    return np.sum([z**2 for z in whiten(maps, statistics, [1.0] * len(maps))], axis=0)


# --- figure and ground -------------------------------------------------------------------------


def corner_level(shape: tuple[int, int], config: Config) -> int:
    """The level where corners are found; surroundedness is found one above.

    The first whose longer side has at most CORNERS_ACROSS samples, so that figures hardly depend
    on the resolution, but no higher than leaves the next level four samples on the shorter side.
    """
    level = centre_levels(shape, config)[0]
    while max(shape) >> level > CORNERS_ACROSS and min(shape) >> (level + 2) >= 4:
        level += 1
    return min(level, TOP_LEVEL - 1)


def reconstruction(mask: np.ndarray) -> np.ndarray:
    """Morphological reconstruction by erosion of the mask from its border (Vincent 1993).

    The marker is the mask on the border and infinite inside. It is eroded by a cross and raised to
    the mask until it changes no more. Then each sample has the least, over the paths to the
    border, of the highest value on a path.
    """
    marker = np.full_like(mask, np.inf)
    marker[[0, -1]], marker[:, [0, -1]] = mask[[0, -1]], mask[:, [0, -1]]
    while True:
        m = np.pad(marker, 1, constant_values=np.inf)
        cross = [m[:-2, 1:-1], m[2:, 1:-1], m[1:-1, :-2], m[1:-1, 2:], marker]
        eroded = np.maximum(np.minimum.reduce(cross), mask)
        if np.array_equal(eroded, marker):
            return marker
        marker = eroded


def surroundedness(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How high each sample stands above, and how far below, the ground that surrounds it.

    A sample that a threshold cuts off from the border is part of a figure. Boolean maps (Zhang &
    Sclaroff 2013) count such thresholds. Over all thresholds their number is the difference of
    the map, or of its negative, from its reconstruction.
    """
    return z + reconstruction(-z), reconstruction(z) - z


def soft_root(x: np.ndarray) -> np.ndarray:
    """sqrt(x + SOFT) - sqrt(SOFT): a root of finite slope at 0."""
    return np.sqrt(x + SOFT) - np.sqrt(SOFT)


def density(x: np.ndarray) -> float:
    """mean(sqrt x)^2 / mean x: 1 if all values are alike, 1/n if one of n is not 0."""
    return np.sqrt(x).mean() ** 2 / x.mean() if x.any() else 0.0


def corners(energies: list[np.ndarray]) -> np.ndarray:
    """Where contours of several orientations meet, from four oriented energies.

    Signals that vary in two dimensions (Zetzsche & Barth 1990) have energy at all orientations,
    an edge or a grating at its own. Among isolated items, corners are the second least energy:
    what three orientations reach. In a scene, where corners are dense, they are the least energy
    by its ratio to the mean of the four: people look where all orientations are alike. Among
    isolated items a circle would exceed a Q by that.
    """
    least, second = np.sort(energies, axis=0)[:2]
    mean = np.mean(energies, axis=0)
    isotropic = least * np.divide(least, mean, out=np.zeros_like(mean), where=mean > 0)
    scene = np.clip((density(second) - SPARSE) / (DENSE - SPARSE), 0, 1)
    return second + scene * (isotropic - second)


# --- the stages, in order ----------------------------------------------------------------------


class Stages:
    """One frame on its way through the stages: each reads `out` and adds its results, by name."""

    def __init__(
        self,
        unit: np.ndarray,
        config: Config,
        past: Past | None,
        elapsed: float,
        added: Mapping[str, np.ndarray],
        multiplied: Mapping[str, np.ndarray],
    ) -> None:
        self.unit, self.config, self.past, self.elapsed = unit, config, past, elapsed
        self.added, self.multiplied = added, multiplied
        height, width = self.shape = unit.shape[0], unit.shape[1]
        self.map_level = level = map_level(self.shape, config)
        self.map_shape = max(height >> level, 1), max(width >> level, 1)
        self.finest = centre_levels(self.shape, config)[0]
        self.levels = range(self.finest, top_level(self.shape, config) + 1)
        self.pairs = pairs(self.shape, config)
        self.halves = ("/on", "/off") if config.split_cs else ("",)
        self.weights = config.channel_weights(colour=unit.ndim == 3, past=past is not None)
        self.features = [feature for feature in FEATURES if feature.channel in self.weights]
        self.wanted = {x for feature in self.features for x in (feature.stage, feature.planes)}
        self.running = past.statistics if past is not None and config.averages else {}
        self.out: dict[str, np.ndarray] = {}

    def opponency(self) -> None:
        """Frame -> planes of intensity, colour opponency and flicker."""
        self.out["pyramid/intensity/0"] = plane = intensity(self.unit)
        if self.unit.ndim == 3 and self.config.sees_colour:
            red_green, blue_yellow = opponency(self.unit, self.config)
            self.out |= {"pyramid/red_green/0": red_green, "pyramid/blue_yellow/0": blue_yellow}
        if self.past is not None and "pyramid/flicker" in self.wanted:
            self.out["pyramid/flicker/0"] = np.abs(plane - self.past.background)

    def pyramid(self) -> None:
        """Planes -> coarser levels."""
        for name in [name.removesuffix("/0") for name in self.out]:
            levels = pyramid(self.out[f"{name}/0"], self.config)
            self.out |= {f"{name}/{level}": x for level, x in enumerate(levels)}

    def orientation(self) -> None:
        """Levels of intensity -> oriented energies."""
        if "orientation" not in self.wanted:
            return
        taps = TAPS_9 if self.config.has_orientation_pyramid else TAPS_5
        source = pyramid(self.out["pyramid/intensity/0"], self.config, taps)
        for level in self.levels:
            if self.config.has_orientation_pyramid:
                self.out[f"orientation_pyramid/{level}"] = source[level]
            for theta, energy in orientation(source[level], self.config).items():
                self.out[f"orientation/{theta}/{level}"] = energy

    def motion(self) -> None:
        """Levels of intensity, now and before -> motion."""
        if self.past is None or "motion" not in self.wanted:
            return
        for level, direction in product(self.levels, DIRECTIONS):
            now, before = self.out[f"pyramid/intensity/{level}"], self.past.levels[level]
            response = motion(now, before, direction, self.config.motion_threshold)
            self.out[f"motion/{direction}/{level}"] = response

    def whiten(self) -> None:
        """Planes -> decorrelated planes -> oriented energies -> distances from their mean."""
        if not self.config.whitens:
            return
        names, signals = self.whitened_planes()
        planes = [self.out[f"pyramid/{name}/{self.map_level}"] for name in names]
        self.out["statistics/planes"] = statistics(planes)
        scales = [self.finest + scale for scale in SCALES if Channel.WHITENED in self.weights]
        figures = [corner_level(self.shape, self.config) + 1] * self.config.figure
        for level in sorted({*scales, *figures}):
            planes = [self.out[f"pyramid/{name}/{level}"] for name in names]
            whitened = whiten(planes, self.whitening("planes", signals), signals)
            self.out |= {f"whitened/{n}/{level}": z for n, z in zip(names, whitened, strict=True)}
        if scales:
            distances = [x for name in names for x in self.distances(name, scales)]
            fade = max(self.map_shape) // 20
            self.out["conspicuity/whitened"] = np.sum([attenuate(x, fade) for x in distances], 0)

    def distances(self, name: str, scales: list[int]) -> list[np.ndarray]:
        """A decorrelated plane -> squared distances of its energies, one per orientation."""
        for level in scales:
            energies = orientation(self.out[f"whitened/{name}/{level}"], self.config)
            for theta, energy in energies.items():
                self.out[f"whitened/{name}/{theta}/{level}"] = energy
                self.out[f"scale/{name}/{theta}/{level}"] = self.to_map_level(energy, level)
        varied = varies(self.out["statistics/planes"], self.whitened_planes()[1]).any()
        for theta in ORIENTATIONS:
            maps = [self.out[f"scale/{name}/{theta}/{level}"] for level in scales]
            self.out[f"statistics/{name}/{theta}"] = statistics(maps)
            distance = mahalanobis(maps, self.whitening(f"{name}/{theta}", [1.0] * len(maps)))
            self.out[f"feature/whitened_{name}_{theta}"] = distance * varied  # 0 in a uniform frame
        return [self.out[f"feature/whitened_{name}_{theta}"] for theta in ORIENTATIONS]

    def figure(self) -> None:
        """Decorrelated planes and oriented energies -> surroundedness and corners."""
        if not self.config.figure:
            return
        level = corner_level(self.shape, self.config)
        total = np.zeros_like(self.out[f"pyramid/intensity/{level + 1}"])
        names, signals = self.whitened_planes()
        deviations = np.diag(cholesky_factor(self.whitening("planes", signals)))
        for name, least in zip(names, flat(signals) / deviations, strict=True):
            sides = surroundedness(self.out[f"whitened/{name}/{level + 1}"])
            for side, heights in zip(("on", "off"), sides, strict=True):
                heights = heights * (heights.max() > least)
                self.out[f"surroundedness/{name}/{side}"] = heights
                total = total + soft_root(heights)
        self.out["figure"] = self.to_map_level(total, level + 1)
        energies = [self.out[f"orientation/{theta}/{level}"] for theta in ORIENTATIONS]
        found = corners([self.to_map_level(energy, level) for energy in energies])
        least = flat(self.signal_size("intensity"))
        # Without any corner, as on a smooth hot spot, figures count alone.
        self.out["corners"] = found if found.max() > least else np.full_like(found, least)

    def centre_surround(self) -> None:
        """Levels -> maps, or their halves, per feature and pair, at one level unless N is first."""
        for feature, (c, s) in product(self.features, self.pairs):
            centre, surround = (self.out[f"{feature.planes}/{level}"] for level in (c, s))
            maps = centre_surround(centre, surround, s - c, feature.rectifiable, self.config)
            for half, x in zip(self.halves, maps, strict=True):
                name = f"{feature.name}/{c}-{s}{half}"
                self.out[f"contrast/{name}"] = x
                if not self.config.normalise_before_reduction:
                    self.out[f"centre_surround/{name}"] = self.to_map_level(x, c)

    def normalise(self) -> None:
        """Maps -> N of each, its halves added."""
        first = self.config.normalise_before_reduction  # P98 as written
        source = "contrast" if first else "centre_surround"
        for feature, (c, s) in product(self.features, self.pairs):
            name, signal = f"{feature.name}/{c}-{s}", self.signal_size(feature.name)
            maps = [self.out[f"{source}/{name}{half}"] for half in self.halves]
            x = normalise(maps, signal, self.config)
            self.out[f"normalised/{name}"] = self.to_map_level(x, c) if first else x

    def combine(self) -> None:
        """Normalised maps -> features -> conspicuity maps -> saliency map (P98, eqs. 5-8)."""
        out = self.out
        parts: dict[Channel, list[np.ndarray]] = {channel: [] for channel in self.weights}
        for feature in self.features:
            maps = [out[f"normalised/{feature.name}/{c}-{s}"] for c, s in self.pairs]
            out[f"feature/{feature.name}"] = total = np.sum(maps, axis=0)
            again = feature.normalised_again
            again = getattr(self.config, again) if isinstance(again, str) else again
            weighted = self.config.feature_weight(feature) * (self.n(total) if again else total)
            out[f"weighted/{feature.name}"] = weighted
            parts[feature.channel].append(weighted)
        for channel, weight in self.weights.items():
            if parts[channel]:
                out[f"conspicuity/{channel}"] = np.sum(parts[channel], axis=0)
            out[f"contribution/{channel}"] = weight * self.n(out[f"conspicuity/{channel}"])
        for name, values in self.added.items():
            top = LONE_PEAKS[self.config.normalisation]
            weight = self.config.unit_weight(colour=self.unit.ndim == 3, past=self.past is not None)
            out[f"contribution/{name}"] = top * weight * values
        names = (*self.weights, *self.added)
        terms = [f"contribution/{name}" for name in names]
        if self.config.figure:  # figures are promoted, and what moves needs no outline
            for name, term in zip(names, terms, strict=True):
                out[term] = out[term] * (out["figure"] + MOVING_FIGURE * (name in TEMPORAL))
        saliency = np.sum([out[term] for term in terms], axis=0)
        if self.config.normalise_saliency:
            total, saliency = saliency, self.n(saliency, to=2.0)
            share = np.divide(saliency, total, out=np.zeros_like(total), where=total > 0)
            out |= {term: out[term] * share for term in terms}
        factors = list[np.ndarray]()
        if self.config.figure:
            out |= {term: out[term] / PROMOTION for term in terms}
            out["contribution/figure"] = out["figure"]
            terms.append("contribution/figure")
            saliency = out["figure"] + saliency / PROMOTION
            factors.append(out["corners"])
        factors += [1 + values for values in self.multiplied.values()]
        if self.config.centre_prior > 0:
            factors.append(centre_prior(self.unit.shape[:2], saliency.shape, self.config))
        for factor in factors:
            saliency = saliency * factor
            out |= {term: out[term] * factor for term in terms}
        out["saliency"] = smoothed(saliency, self.past, self.elapsed, self.config)

    # What several stages need.

    def n(self, x: np.ndarray, to: float = RANGE) -> np.ndarray:
        """N of a sum."""
        return normalise([x], 1.0, self.config, first=False, to=to)

    def signal_size(self, name: str) -> float:
        """The highest value that a feature or plane could have in this frame, for the flat test.

        Rounding is in proportion to it. Flicker is measured against a background that never quite
        reaches the frame while it decays, and N would make a whole map of the rest. So flicker
        under REST is none then.
        """
        brightest = self.out["pyramid/intensity/0"].max()
        signal = next(feature.signal for feature in FEATURES if feature.name == name)
        if signal is Signal.HUE:
            return brightest if self.config.opponency is Opponency.LINEAR else 1.0
        if signal is Signal.FLICKER and self.past is not None:
            decays = self.elapsed < FLICKER_SECONDS
            return max(brightest, self.past.brightest, REST / FLAT if decays else 0)
        return brightest**2 if signal is Signal.BRIGHTEST_SQUARED else brightest

    def to_map_level(self, x: np.ndarray, level: int) -> np.ndarray:
        """A map at the saliency map's level: downsampled by the pyramid's step, or upsampled."""
        if level > self.map_level:
            return upsample(x, self.map_shape, level - self.map_level, self.config)
        for _ in range(level, self.map_level):
            x = downsample(x, self.config, TAPS_9 if self.config.reduction_taps == 9 else TAPS_5)
        return x

    def whitened_planes(self) -> tuple[list[str], list[float]]:
        """The planes of this frame that are decorrelated, and the sizes of their signals."""
        names = [name for name in WHITENED_PLANES if f"pyramid/{name}/0" in self.out]
        return names, [self.signal_size(name) for name in names]

    def whitening(self, name: str, signals: list[float]) -> np.ndarray:
        """The running statistics; or the frame's, if there are none or they hold no variance."""
        measured = self.out[f"statistics/{name}"]
        running = self.running.get(name, measured)
        return running if varies(running, signals).any() else measured


def trace(
    frame: np.ndarray,
    config: Config = ITTI_1998,
    channel_order: str = "rgb",
    past: Past | None = None,
    elapsed: float = FRAME_SECONDS,
    added: Mapping[str, np.ndarray] = NO_MAPS,
    multiplied: Mapping[str, np.ndarray] = NO_MAPS,
) -> dict[str, np.ndarray]:
    """Run the model and keep every intermediate by name.

    Parameters
    ----------
    frame : ndarray of shape (H, W), (H, W, 3)
        uint8, uint16, or float in [0, 1]; both sides at least 32. Taken on trust: `Saliency`
        checks.
    config : Config
    channel_order : {"rgb", "bgr"}
    past : Past, optional
        What the frame before left, of the same format and under the same config; see `passed`.
        Without one there is no flicker, no motion, no smoothing and no running statistics.
    elapsed : float
        Seconds since then.
    added, multiplied : mapping of str to ndarray of shape (H//16, W//16)
        The caller's channels, by name, times their weights. The first are summed with the model's,
        1 as a peak that stands out alone in a channel of weight 1; by 1 + each of the others the
        map is multiplied.

    Returns
    -------
    dict of str to float64 ndarray
        In the order computed, with F a feature of `features.FEATURES`, L a level, c-s a pair, P a
        plane: `pyramid/P/L` (intensity, red_green, blue_yellow, flicker); `orientation_pyramid/L`,
        if it differs; `orientation/THETA/L`; `motion/DIRECTION/L`; `contrast/F/c-s` at level c;
        `centre_surround/F/c-s` at the saliency map's level; `normalised/F/c-s`; `feature/F`, their
        sum over scales; `weighted/F`, what each feature adds to its conspicuity map;
        `conspicuity/CHANNEL`; `contribution/CHANNEL`, what each adds to the map; `saliency`.
        Where the config whitens: `statistics/planes`, and `statistics/P/THETA`; `whitened/P/L` and
        `whitened/P/THETA/L`, planes and their energies; `scale/P/THETA/L`, energies at the map's
        level; `feature/whitened_P_THETA`, their squared Mahalanobis distance. With `figure`:
        `surroundedness/P/on` and `/off`; `figure`, the sum of their roots; `corners`;
        `contribution/figure`, the product. The published programs have names of their own; see
        `ittisal.references`. With `split_cs` the contrast and centre_surround names
        end in `/on` and `/off`; with `normalise_before_reduction` there is no centre_surround.

    Raises
    ------
    ValueError
        A side is under 32 pixels: no centre-surround pair exists.

    Examples
    --------
    >>> trace(np.zeros((64, 96, 3)))["saliency"].shape
    (4, 6)
    """
    unit = to_unit(frame, config, channel_order)
    if config.model is not Model.ITTI:
        return guided(references.trace(unit, config), config, unit.ndim == 3, added, multiplied)
    if min(unit.shape[:2]) < MIN_SIDE:
        height, width = unit.shape[:2]
        raise ValueError(f"frame is {width}x{height}; both sides must be at least {MIN_SIDE}")
    stages = Stages(unit, config, past, elapsed, added, multiplied)
    stages.opponency()
    stages.pyramid()
    stages.orientation()
    stages.motion()
    stages.whiten()
    stages.figure()
    stages.centre_surround()
    stages.normalise()
    stages.combine()
    return stages.out


def guided(
    out: dict[str, np.ndarray],
    config: Config,
    colour: bool,
    added: Mapping[str, np.ndarray],
    multiplied: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """The trace of a published program, with the caller's channels in its final map."""
    for name, values in added.items():
        term = PROGRAM_TOPS[config.model] * config.unit_weight(colour=colour) * values
        out[f"contribution/{name}"], out["saliency"] = term, out["saliency"] + term
    terms = [name for name in out if name.startswith("contribution/")]
    for values in multiplied.values():
        out |= {name: out[name] * (1 + values) for name in (*terms, "saliency")}
    return out


def passed(
    traced: dict[str, np.ndarray],
    config: Config,
    past: Past | None = None,
    elapsed: float = FRAME_SECONDS,
) -> Past:
    """What a frame leaves for the next one, from its trace, its past and the time between."""
    levels = [x for name, x in traced.items() if name.startswith("pyramid/intensity/")]
    background, brightest = levels[0], levels[0].max()
    if past is not None:
        background = next_background(background, past.background, elapsed)
        brightest = next_background(brightest, past.brightest, elapsed)
    names = [name for name in traced if name.startswith("statistics/")]
    statistics = {name.removeprefix("statistics/"): traced[name] for name in names}
    if past is not None and config.averages:
        factor = 1 - np.exp(-elapsed / config.whitening_seconds)
        for name, before in past.statistics.items():
            statistics[name] = before + factor * (statistics[name] - before)
    return Past(background, brightest, levels, traced["saliency"], statistics)


def saliency(
    frame: np.ndarray, config: Config = ITTI_1998, channel_order: str = "rgb"
) -> np.ndarray:
    """The raw saliency map, float64 of shape (H//16, W//16), or finer: see `trace`."""
    return trace(frame, config, channel_order)["saliency"]
