"""The model in plain float64 NumPy, one function per equation: the truth all backends match.

Written to be read beside the papers: no buffers, no fusing, nothing in place. It shares neither
geometry nor tricks with the fast path, so that a mistake cannot hide in both. Arrays are
indexed [y, x], y down. Short names of sources are in `ittisal.config`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .config import (
    CENTRE_LEVELS,
    DELTAS,
    DIRECTIONS,
    ITTI_1998,
    MAP_LEVEL,
    MIN_SIDE,
    ORIENTATIONS,
    TOP_LEVEL,
    Channel,
    Config,
    Contrast,
    HueReference,
    Normalisation,
    Opponency,
    OrientationPyramid,
    PeakMean,
    Phase,
    SmallFrames,
    Smoothing,
    Upsampling,
)

TAPS_5 = np.array([1, 4, 6, 4, 1]) / 16
TAPS_9 = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1]) / 256
PLANES = ("intensity", "red_green", "blue_yellow")
SCALES = (2, 3, 4, 5)  # levels whose energies are whitened together
FEATURE_CHANNEL = {
    "intensity": Channel.INTENSITY,
    "red_green": Channel.COLOUR,
    "blue_yellow": Channel.COLOUR,
    **{f"orientation_{theta}": Channel.ORIENTATION for theta in ORIENTATIONS},
    "flicker": Channel.FLICKER,
    **{f"motion_{direction}": Channel.MOTION for direction in DIRECTIONS},
}
RANGE = 10.0  # M: N rescales every map to [0, M] (iNVT; P98 leaves it open)
PLATEAU = 1e-4  # neighbours closer than this fraction of a map's range are one plateau
HALF_A_PEAK = 0.5  # counts are shares; less than this is none
DARK = 1e-9  # up to here, of 1, intensity has no hue; FLAT of it is flat in the dimmest frame
FRAME_SECONDS = 1 / 30  # between frames, unless told otherwise
FLICKER_SECONDS = 0.03  # in which flicker forgets the frames before (iNVT)
REST = 1e-3  # of full scale: a quarter of a grey level in eight bits
RIDGE = 1e-2  # of the mean variance, added to each: what hardly varies is not blown up
SOFT = 0.01  # standard deviations: what is less above its ground is hardly enclosed
PROMOTION = 20.0  # N's values, of 0 to 1000, that double what a figure counts
CORNERS_ACROSS = 256  # samples of the longer side, at most, where corners are found
FLAT = 1e-5  # a map whose range is under this fraction of the signal's counts as flat


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


# --- pyramids ----------------------------------------------------------------------------------


def filter_axis(x: np.ndarray, taps: np.ndarray, axis: int) -> np.ndarray:
    """Correlate along one axis, zero outside, `taps` centred on each sample."""
    n, half = x.shape[axis], len(taps) // 2
    padded = np.pad(x, [(half, half) if a == axis else (0, 0) for a in range(x.ndim)])
    return sum(t * padded.take(range(k, k + n), axis) for k, t in enumerate(taps))


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


def halve(x: np.ndarray, config: Config, taps: np.ndarray = TAPS_5) -> np.ndarray:
    """One step of the Gaussian pyramid (P98): low-pass, then decimate."""
    return decimate(low_pass(x, taps), config.phase)


def top_level(shape: tuple[int, int], config: Config) -> int:
    """The coarsest level that exists: all nine when clamped, else while a pixel is left."""
    if config.small_frames is SmallFrames.CLAMP:
        return TOP_LEVEL
    return min(TOP_LEVEL, int(np.log2(min(shape))))


def pyramid(plane: np.ndarray, config: Config, taps: np.ndarray = TAPS_5) -> list[np.ndarray]:
    """Levels 0 to 8, or as many as the frame allows."""
    levels = [plane]
    for _ in range(top_level(plane.shape, config)):
        levels.append(halve(levels[-1], config, taps))
    return levels


# --- orientation -------------------------------------------------------------------------------


def attenuate(x: np.ndarray, width: int) -> np.ndarray:
    """Fade towards the borders: the k-th row or column from one is scaled by k/(width+1)."""
    for axis in (0, 1):
        n = x.shape[axis]
        b = min(width, n // 2)
        fade = np.ones(n)
        fade[:b] = np.arange(1, b + 1) / (b + 1)
        fade[n - b :] = fade[:b][::-1]
        x = x * fade.reshape([-1 if a == axis else 1 for a in (0, 1)])
    return x


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
    """Energy per direction of one level. The band-pass takes out DC: luminance cannot leak."""
    band = level - low_pass(level, TAPS_9)
    fade = 5 if config.border_attenuation else 0
    return {
        theta: attenuate(oriented_energy(band, theta, config.wavenumber), fade)
        for theta in ORIENTATIONS
    }


# --- time --------------------------------------------------------------------------------------


class Past(NamedTuple):
    """What a frame leaves for the next one."""

    background: np.ndarray  # intensity that flicker is measured against
    brightest: float  # of that, at most
    levels: list[np.ndarray]  # of the intensity pyramid
    saliency: np.ndarray
    statistics: dict[str, np.ndarray]  # of whitening, averaged


def flicker(plane: np.ndarray, past: Past) -> np.ndarray:
    """|I - P|, P the background: the last frame, or a fading past of quicker ones (iNVT)."""
    return np.abs(plane - past.background)


def faded(now, before, elapsed: float):
    """P moved towards I by the share dt / 0.03 s, all the way at most (iNVT).

    From 30 ms between frames on, P is the last frame.
    """
    return before + min(1, elapsed / FLICKER_SECONDS) * (now - before)


def flicker_scale(brightest: float, past: Past, elapsed: float) -> float:
    """The size of the signal, for the flat test: of the frame or its background, the brighter.

    A background that fades never quite arrives, and N would make a whole map of the rest: so less
    than REST, of full scale, is none there.
    """
    fades = elapsed < FLICKER_SECONDS
    return max(brightest, past.brightest, REST / FLAT if fades else 0)


def shifted(x: np.ndarray, direction: int) -> np.ndarray:
    """`x` moved by one sample: 0 right, 90 up, 180 left, 270 down; zeros enter."""
    dy, dx = {0: (0, 1), 90: (-1, 0), 180: (0, -1), 270: (1, 0)}[direction]
    height, width = x.shape
    return np.pad(x, 1)[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]


def motion(level: np.ndarray, before: np.ndarray, direction: int, threshold: float) -> np.ndarray:
    """Reichardt's detector of one sample per frame (IDP03): what is here now was beside before.

    The frame times the last one moved, less the last frame times this one moved; less than the
    threshold is none. At level L it prefers 2^L pixels per frame.
    """
    response = level * shifted(before, direction) - before * shifted(level, direction)
    return np.where(response >= threshold, response, 0)


def smoothed(saliency: np.ndarray, past: Past | None, elapsed: float, config: Config) -> np.ndarray:
    """V + share (S - V): a share per frame, or by time; see `Smoothing`."""
    if past is None or config.smoothing is Smoothing.NONE:
        return saliency
    share = config.smoothing_rate
    if config.smoothing is Smoothing.LEAKY:
        share = 1 - np.exp(-elapsed / config.smoothing_seconds)
    return past.saliency + share * (saliency - past.saliency)


# --- centre-surround ---------------------------------------------------------------------------


def pairs(shape: tuple[int, int], config: Config) -> list[tuple[int, int]]:
    """The (c, s) that this frame has: 2-5, 2-6, 3-6, 3-7, 4-7, 4-8 from 256 pixels up."""
    top = top_level(shape, config)
    return [(c, c + d) for c in CENTRE_LEVELS for d in DELTAS if c + d <= top]


def enlarge(x: np.ndarray, shape: tuple[int, int], delta: int, config: Config) -> np.ndarray:
    """Interpolate `delta` levels up, on the pyramid's own grid, by exactly 2^delta."""
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
    centre: np.ndarray, surround: np.ndarray, delta: int, channel: Channel, config: Config
) -> list[np.ndarray]:
    """|centre - surround| (P98, eqs. 1-4): one map, or its two halves, faded at the borders."""
    difference = centre - enlarge(surround, centre.shape, delta, config)
    if config.split_cs:
        maps = [np.maximum(difference, 0), np.maximum(-difference, 0)]
    elif channel is Channel.ORIENTATION and config.orientation_contrast is Contrast.RECTIFIED:
        maps = [np.maximum(difference, 0)]
    else:
        maps = [np.abs(difference)]
    fade = max(centre.shape) // 20 if config.border_attenuation else 0
    return [attenuate(x, fade) for x in maps]


def reduce(x: np.ndarray, level: int, config: Config) -> np.ndarray:
    """From its level to level 4, by the pyramid's own step."""
    taps = TAPS_9 if config.reduction_taps == 9 else TAPS_5
    for _ in range(level, MAP_LEVEL):
        x = halve(x, config, taps)
    return x


# --- the operator N ----------------------------------------------------------------------------


def rescale(x: np.ndarray, low: float, high: float, scale: float, to: float) -> np.ndarray:
    """[low, high] to [0, to]; a map that is flat next to the signal's `scale` becomes 0."""
    if high - low <= FLAT * max(scale, DARK):
        return np.zeros_like(x)
    return (x - low) * (to / (high - low))


def local_maxima(
    x: np.ndarray, threshold: float, peak_mean: PeakMean
) -> tuple[np.ndarray, np.ndarray]:
    """Interior values at least `threshold` and not below any of four neighbours; their counts.

    iNVT (`all`) counts every sample of a plateau as 1. Counted so, one object half-way between
    two samples would be two equal peaks, which N sets to 0, or not, by the last bit. So for P98's
    mean (`others`) samples closer than PLATEAU of the map's range share a count: each has
    1 / ((1 + a) (1 + b)), if a of its two neighbours in the row and b of those in the column are
    that close. Two samples that touch, or four, which is what such an object gives, count once; a
    broad plateau still counts as several.
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
    """(M - m)^2, M the map's maximum, m its mean local maximum (P98; with or without M)."""
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
    maps: list[np.ndarray], scale: float, config: Config, *, first: bool = True, to: float = RANGE
) -> np.ndarray:
    """N(.): promote maps with few strong peaks, suppress those with many alike.

    `maps` is one map, or the two halves of a split one: those share one range, so that an empty
    half is not amplified, are each measured by their own maximum, and are added. `scale` is the
    size of the signal, for the flat test. `first` is False after the feature maps, where
    `iterative` does not rescale again (iNVT).
    """
    maps = [np.maximum(x, 0) for x in maps]
    low, high = min(x.min() for x in maps), max(x.max() for x in maps)
    if config.normalisation is Normalisation.NONE:
        return np.sum([rescale(x, low, high, scale, 1.0) for x in maps], axis=0)
    if config.normalisation is Normalisation.ITERATIVE:
        if first or to != RANGE:
            maps = [rescale(x, low, high, scale, to) for x in maps]
        return np.sum([iterate(x, config.iterations) for x in maps], axis=0)
    maps = [rescale(x, low, high, scale, to) for x in maps]
    return np.sum([x * maxnorm_factor(x, to / 10, config.peak_mean) for x in maps], axis=0)


# --- whitening ---------------------------------------------------------------------------------


def statistics(maps: list[np.ndarray]) -> np.ndarray:
    """Mean and covariance over a frame of n maps: (n, 1 + n), the means in the first column."""
    x = np.stack([m.ravel() for m in maps])
    mean = x.mean(axis=1, keepdims=True)
    return np.hstack([mean, (x - mean) @ (x - mean).T / x.shape[1]])


def whiten(maps: list[np.ndarray], statistics: np.ndarray, scales: list[float]) -> list[np.ndarray]:
    """Uncorrelated maps of unit variance: the solution z of L z = x - mean, L L' the covariance.

    AWS (Garcia-Diaz et al. 2012) whitens by principal components. By Cholesky's triangle the
    first map stays what it is, and each next one is what those before do not predict. A map that
    does not vary becomes 0.
    """
    x = np.stack([m.ravel() for m in maps]) - statistics[:, :1]
    z = np.linalg.solve(triangle(statistics), x)
    z[~varies(statistics, scales)] = 0
    return [row.reshape(maps[0].shape) for row in z]


def triangle(statistics: np.ndarray) -> np.ndarray:
    """L, from a covariance with a ridge: what hardly varies is not blown up."""
    covariance, n = statistics[:, 1:], len(statistics)
    ridge = RIDGE * np.trace(covariance) / n + DARK**2
    return np.linalg.cholesky(covariance + ridge * np.eye(n))


def varies(statistics: np.ndarray, scales: list[float]) -> np.ndarray:
    """For each map, whether its standard deviation is not flat next to its signal's scale."""
    return np.sqrt(np.diag(statistics[:, 1:])) > FLAT * np.maximum(scales, DARK)


def usual(own: np.ndarray, before: np.ndarray | None, scales: list[float]) -> np.ndarray:
    """What to whiten by: the frames before, or, if nothing varied in them, the frame itself."""
    return own if before is None or not varies(before, scales).any() else before


def to_map_level(x: np.ndarray, level: int, shape: tuple[int, int], config: Config) -> np.ndarray:
    """A level's map at level 4, of `shape`: reduced from a finer level, enlarged from a coarser."""
    if level > MAP_LEVEL:
        return enlarge(x, shape, level - MAP_LEVEL, config)
    return reduce(x, level, config)


def unlikeness(energies: list[np.ndarray], statistics: np.ndarray) -> np.ndarray:
    """|z|^2 of one orientation's energies at several scales, whitened together (AWS)."""
    return np.sum([z**2 for z in whiten(energies, statistics, [1.0] * len(energies))], axis=0)


def flat_heights(statistics: np.ndarray, scales: list[float]) -> np.ndarray:
    """What is flat next to each map's signal, in the units of its whitened map."""
    return FLAT * np.maximum(scales, DARK) / np.diag(triangle(statistics))


# --- figure and ground -------------------------------------------------------------------------


def corner_level(shape: tuple[int, int]) -> int:
    """The level where corners are found; figures are found one above.

    The first from 2 on whose longer side has at most CORNERS_ACROSS samples, so that a picture's
    figures are much the same at any resolution; but the shorter side keeps some, and the level
    above exists.
    """
    level = CENTRE_LEVELS[0]
    while max(shape) >> level > CORNERS_ACROSS and min(shape) >> (level + 2) >= 4:
        if level + 1 == TOP_LEVEL:
            break
        level += 1
    return level


def flooded(x: np.ndarray) -> np.ndarray:
    """How high water stands that flows in from the border: the least, over paths to the border, of
    the highest value on the way (reconstruction by erosion; Vincent 1993).
    """
    level = np.full_like(x, np.inf)
    level[[0, -1]], level[:, [0, -1]] = x[[0, -1]], x[:, [0, -1]]
    while True:
        around = np.pad(level, 1, constant_values=np.inf)
        lowest = np.minimum.reduce(
            [around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:], level]
        )
        risen = np.maximum(lowest, x)
        if np.array_equal(risen, level):
            return level
        level = risen


def enclosed(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each place stands above, and lies below, the ground that encloses it.

    A place that a threshold cuts off from the border is a figure on it. Boolean maps (Zhang &
    Sclaroff 2013) count the thresholds that do; over all thresholds that is the height above the
    flood of the map turned over, and the depth of water on the map.
    """
    return z + flooded(-z), flooded(z) - z


def soft_root(x: np.ndarray) -> np.ndarray:
    """sqrt(x + SOFT) - sqrt(SOFT): a root that does not enlarge the smallest values."""
    return np.sqrt(x + SOFT) - np.sqrt(SOFT)


def corners(energies: dict[int, np.ndarray]) -> np.ndarray:
    """The energy that three of the four directions reach: the second least.

    What is intrinsically two-dimensional (Zetzsche & Barth 1990) has energy in all directions, an
    edge or a grating in its own. One may lack, or a circle would be more of a corner than a Q.
    """
    return np.sort(list(energies.values()), axis=0)[1]


# --- the whole model ---------------------------------------------------------------------------


def trace(
    frame: np.ndarray,
    config: Config = ITTI_1998,
    channel_order: str = "rgb",
    past: Past | None = None,
    elapsed: float = FRAME_SECONDS,
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
        What the frame before left, of the same kind and under the same config; see `passed`.
        Without one there is no flicker, no motion, no smoothing and no average.
    elapsed : float
        Seconds since then.

    Returns
    -------
    dict of str to float64 ndarray
        In the order computed, with F a feature (intensity, red_green, blue_yellow,
        orientation_0, _45, _90, _135, flicker, motion_0, _90, _180, _270), L a level, c-s a pair:
        `pyramid/P/L` (P of the first three, and flicker); `orientation_pyramid/L`, if it has its
        own; `orientation/THETA/L`; `motion/DIRECTION/L`; `contrast/F/c-s` at level c;
        `centre_surround/F/c-s` at level 4; `normalised/F/c-s`; `feature/F`, their sum over
        scales; `conspicuity/CHANNEL`; `contribution/CHANNEL`, what each adds to the map;
        `saliency`. Where the config whitens: `statistics/planes`, and `statistics/P/THETA`;
        `whitened/P/L` and `whitened/P/THETA/L`, planes and their energies; `scale/P/THETA/L`,
        those at level 4; `feature/whitened_P_THETA`, how unlike the frame they are. With `figure`:
        `enclosed/P/on` and `/off`; `figure`, `corners`, and `contribution/figure`, their product.
        With `split_cs` the contrast and
        centre_surround names end in `/on` and `/off`; with `normalise_before_reduction` there
        is no centre_surround.

    Raises
    ------
    ValueError
        A side is under 32 pixels: no centre-surround pair exists.

    Examples
    --------
    >>> import numpy as np
    >>> from ittisal import reference
    >>> frame = np.zeros((64, 96, 3)); frame[28:36, 44:52] = 1
    >>> reference.trace(frame)["saliency"].shape
    (4, 6)
    """
    unit = to_unit(frame, config, channel_order)
    shape = unit.shape[:2]
    if min(shape) < MIN_SIDE:
        raise ValueError(f"frame is {shape[1]}x{shape[0]}; both sides must be at least {MIN_SIDE}")
    weights = config.channel_weights(colour=unit.ndim == 3, past=past is not None)
    out: dict[str, np.ndarray] = {}
    map_shape = tuple(max(n >> MAP_LEVEL, 1) for n in shape)

    planes = {"intensity": intensity(unit)}
    if unit.ndim == 3 and config.sees_colour:
        planes["red_green"], planes["blue_yellow"] = opponency(unit, config)
    if past is not None and Channel.FLICKER in weights:
        planes["flicker"] = flicker(planes["intensity"], past)
    for name, plane in planes.items():
        for level, x in enumerate(pyramid(plane, config)):
            out[f"pyramid/{name}/{level}"] = x
    features = {
        name: {
            level: out[f"pyramid/{name}/{level}"] for level in range(top_level(shape, config) + 1)
        }
        for name in planes
        if FEATURE_CHANNEL[name] in weights
    }
    brightest = planes["intensity"].max()

    if Channel.ORIENTATION in weights:
        own = config.orientation_pyramid is OrientationPyramid.LAPLACIAN
        source = pyramid(planes["intensity"], config, TAPS_9 if own else TAPS_5)
        for level in range(CENTRE_LEVELS[0], len(source)):
            if own:
                out[f"orientation_pyramid/{level}"] = source[level]
            for theta, energy in orientation(source[level], config).items():
                out[f"orientation/{theta}/{level}"] = energy
                features.setdefault(f"orientation_{theta}", {})[level] = energy

    if past is not None and Channel.MOTION in weights:
        for level in range(CENTRE_LEVELS[0], top_level(shape, config) + 1):
            now, before = out[f"pyramid/intensity/{level}"], past.levels[level]
            for direction in DIRECTIONS:
                response = motion(now, before, direction, config.motion_threshold)
                out[f"motion/{direction}/{level}"] = response
                features.setdefault(f"motion_{direction}", {})[level] = response

    scales = {Channel.COLOUR: 1.0, Channel.MOTION: brightest**2}
    if past is not None:
        scales[Channel.FLICKER] = flicker_scale(brightest, past, elapsed)
    sums: dict[Channel, list[np.ndarray]] = {channel: [] for channel in weights}

    if config.whitens:
        names = [name for name in PLANES if name in planes]
        signals = [brightest, *[1.0] * (len(names) - 1)]
        measured = statistics([out[f"pyramid/{name}/{MAP_LEVEL}"] for name in names])
        averages = past.statistics if past is not None and config.averages else {}
        by = usual(measured, averages.get("planes"), signals)
        out["statistics/planes"] = measured

        def whitened(level: int) -> dict[str, np.ndarray]:
            maps = [out[f"pyramid/{name}/{level}"] for name in names]
            return dict(zip(names, whiten(maps, by, signals), strict=True))

    if Channel.WHITENED in weights:
        energies: dict[str, list[np.ndarray]] = {}
        for level in (level for level in SCALES if level <= top_level(shape, config)):
            for name, z in whitened(level).items():
                out[f"whitened/{name}/{level}"] = z
                for theta, energy in orientation(z, config).items():
                    out[f"whitened/{name}/{theta}/{level}"] = energy
                    scale = to_map_level(energy, level, map_shape, config)
                    out[f"scale/{name}/{theta}/{level}"] = scale
                    energies.setdefault(f"{name}/{theta}", []).append(scale)
        for key, maps in energies.items():
            out[f"statistics/{key}"] = statistics(maps)
            scale_usual = usual(out[f"statistics/{key}"], averages.get(key), [1.0] * len(maps))
            unlike = unlikeness(maps, scale_usual)
            if not varies(measured, signals).any():  # all of it is as unlike what came before
                unlike = np.zeros(map_shape)
            out[f"feature/whitened_{key.replace('/', '_')}"] = unlike
            sums[Channel.WHITENED].append(attenuate(unlike, max(map_shape) // 20))

    for name in (name for name in FEATURE_CHANNEL if name in features):
        levels, channel = features[name], FEATURE_CHANNEL[name]
        scale = scales.get(channel, brightest)
        normalised = []
        for c, s in pairs(shape, config):
            key = f"{name}/{c}-{s}"
            maps = centre_surround(levels[c], levels[s], s - c, channel, config)
            halves = ("/on", "/off") if config.split_cs else ("",)
            out.update({f"contrast/{key}{half}": x for half, x in zip(halves, maps, strict=True)})
            if config.normalise_before_reduction:  # P98 as written
                normalised.append(reduce(normalise(maps, scale, config), c, config))
            else:
                maps = [reduce(x, c, config) for x in maps]
                out.update(
                    {
                        f"centre_surround/{key}{half}": x
                        for half, x in zip(halves, maps, strict=True)
                    }
                )
                normalised.append(normalise(maps, scale, config))
            out[f"normalised/{key}"] = normalised[-1]
        out[f"feature/{name}"] = total = np.sum(normalised, axis=0)
        again = channel in (Channel.ORIENTATION, Channel.MOTION) or (
            channel is Channel.COLOUR and config.normalise_opponents
        )
        sums[channel].append(normalise([total], 1.0, config, first=False) if again else total)

    for channel, maps in sums.items():  # P98, eqs. 5-7
        out[f"conspicuity/{channel}"] = np.sum(maps, axis=0)
    for channel, weight in weights.items():  # P98, eq. 8
        map_ = out[f"conspicuity/{channel}"]
        out[f"contribution/{channel}"] = weight * normalise([map_], 1.0, config, first=False)
    saliency = np.sum([out[f"contribution/{channel}"] for channel in weights], axis=0)
    if config.normalise_saliency:
        saliency = normalise([saliency], 1.0, config, first=False, to=2.0)
    if config.figure:
        level = corner_level(shape)
        total = np.zeros_like(out[f"pyramid/intensity/{level + 1}"])
        least = flat_heights(by, signals)
        for (name, z), flat in zip(whitened(level + 1).items(), least, strict=True):
            out[f"whitened/{name}/{level + 1}"] = z
            for side, heights in zip(("on", "off"), enclosed(z), strict=True):
                heights = heights if heights.max() > flat else np.zeros_like(heights)
                out[f"enclosed/{name}/{side}"] = heights
                total = total + soft_root(heights)
        out["figure"] = to_map_level(total, level + 1, map_shape, config)
        out["corners"] = corners(
            {
                theta: to_map_level(out[f"orientation/{theta}/{level}"], level, map_shape, config)
                for theta in ORIENTATIONS
            }
        )
        if out["corners"].max() <= FLAT * max(brightest, DARK):
            out["corners"] = np.zeros(map_shape)
        out["contribution/figure"] = out["figure"] * out["corners"]
        for channel in weights:
            out[f"contribution/{channel}"] *= out["contribution/figure"] / PROMOTION
        saliency = out["contribution/figure"] * (1 + saliency / PROMOTION)
    out["saliency"] = smoothed(saliency, past, elapsed, config)
    return out


def passed(
    traced: dict[str, np.ndarray],
    config: Config,
    past: Past | None = None,
    elapsed: float = FRAME_SECONDS,
) -> Past:
    """What a frame leaves for the next one: from its trace, its own past and the time between.

    Examples
    --------
    >>> import ittisal
    >>> import numpy as np
    >>> from ittisal import reference
    >>> dark, bright = np.zeros((64, 96)), np.ones((64, 96))
    >>> past = reference.passed(reference.trace(dark, ittisal.VIDEO), ittisal.VIDEO)
    >>> float(reference.trace(bright, ittisal.VIDEO, past=past)["pyramid/flicker/0"].max())
    1.0
    """
    levels = [x for name, x in traced.items() if name.startswith("pyramid/intensity/")]
    background, brightest = levels[0], levels[0].max()
    if past is not None:
        background = faded(background, past.background, elapsed)
        brightest = faded(brightest, past.brightest, elapsed)
    statistics = {
        name.removeprefix("statistics/"): x
        for name, x in traced.items()
        if name.startswith("statistics/")
    }
    if past is not None and config.averages:
        share = 1 - np.exp(-elapsed / config.whitening_seconds)
        for name in statistics.keys() & past.statistics.keys():
            before = past.statistics[name]
            statistics[name] = before + share * (statistics[name] - before)
    return Past(background, brightest, levels, traced["saliency"], statistics)


def saliency(
    frame: np.ndarray, config: Config = ITTI_1998, channel_order: str = "rgb"
) -> np.ndarray:
    """The raw saliency map at level 4, float64 of shape (H//16, W//16); see `trace`."""
    return trace(frame, config, channel_order)["saliency"]
