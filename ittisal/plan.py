"""Geometry of one (config, frame size): levels, pairs, planes, weights. No pixels, no backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from .config import (
    CENTRE_LEVELS,
    DELTAS,
    TOP_LEVEL,
    Config,
    Normalisation,
    Phase,
    SmallFrames,
)
from .features import CHANNELS, FEATURES, ORIENTATIONS, Channel, Feature, Model
from .gabor import Gabor
from .sampling import map_level, sampling

BINOMIAL_5 = np.array([1, 4, 6, 4, 1]) / 16
BINOMIAL_9 = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1]) / 256

SLOTS = len(CENTRE_LEVELS) * len(DELTAS)  # centre-surround pairs, existing or not
SCALES = 4  # levels, from the finest on, whose oriented energies are whitened together
CORNERS_ACROSS = 256  # samples of the longer side, at most, where corners are found
SPARSE, DENSE = 0.55, 0.65  # density of corners: of isolated items, at most; of scenes, at least
FIGURE_MAPS = 2 + len(ORIENTATIONS)  # surroundedness, corners, energies at the corners' level

# The model's constants for the fast backends. The reference has its own.
RANGE = 10.0  # N rescales every map to [0, RANGE]
SALIENCY_RANGE = 2.0  # the same for the final map, with `normalise_saliency` (iNVT)
THRESHOLD = 0.1  # of the range: lower local maxima do not count (iNVT)
PLATEAU = 1e-4  # neighbours closer than this fraction of a map's range are one plateau
HALF_A_PEAK = 0.5  # maxima are counted in fractions; less than this is none
FLAT = 2e-6  # of the signal: flat up to here; float32 rounds constant frames to within 7e-7
DARK = 1e-9  # of full scale: intensity has no hue up to here
REST = 1e-4  # of full scale, 6 counts in 65535: less flicker is none while its background decays
HUE_TOLERANCE = 1 + 1e-6  # a pixel at exactly the hue threshold has no hue
RIDGE = 1e-2  # of the mean variance, added to each before whitening
SOFT = 0.01  # standard deviations: surroundedness is sqrt(x + SOFT) - sqrt(SOFT)
PROMOTION = 20.0  # value of N that doubles what a figure counts
MOVING_FIGURE = 2.0  # surroundedness that flicker and motion have without an outline
# What N leaves of a map with a single peak; of `iterative`, about.
LONE_PEAK = {
    Normalisation.MAXNORM: RANGE**3,
    Normalisation.ITERATIVE: RANGE**2,
    Normalisation.NONE: 1.0,
}
PROGRAM_TOPS = {Model.TOOLBOX: 2.0, Model.VOCUS2: 1.0, Model.GBVS: 1.0}  # of its map, about
INHIBITION = 0.02  # of the map's maximum, subtracted in each step of `iterative` (IK00)


@dataclass(frozen=True)
class Plan:
    """All that follows from a config and a frame's (height, width).

    Examples
    --------
    >>> import ittisal
    >>> plan = ittisal.Saliency((480, 640), backend="reference").plan
    >>> plan.level_shape(4), plan.pairs
    ((30, 40), ((2, 5), (2, 6), (3, 6), (3, 7), (4, 7), (4, 8)))
    """

    shape: tuple[int, int]
    config: Config

    # What a published program of this family does in its own way; see `toolbox`.
    pyramid_taps = BINOMIAL_5
    luma: ClassVar[tuple[float, ...]] = ()  # weights of R, G and B in intensity; none: their mean
    gabor: ClassVar[Gabor | None] = None  # the oriented filters; none: binomial ones of a band
    nearest = False  # centre-surround maps are of the nearest samples at the map's level

    @property
    def envelope(self) -> np.ndarray:
        """The nine taps of the oriented filters, along either axis."""
        return self.gabor.envelope if self.gabor else BINOMIAL_9

    @property
    def wavenumber(self) -> float:
        """Of the oriented filters, radians per sample."""
        return self.gabor.wavenumber if self.gabor else self.config.wavenumber

    # --- levels and pairs

    @cached_property
    def octave_shift(self) -> int:
        """How many levels finer than P98's this frame is worked on."""
        return self.config.octave_shift(self.shape)

    @cached_property
    def centre_levels(self) -> tuple[int, ...]:
        """C."""
        return tuple(c - self.octave_shift for c in CENTRE_LEVELS)

    @property
    def finest_level(self) -> int:
        """Levels below are never stored."""
        return self.centre_levels[0]

    @property
    def map_level(self) -> int:
        """The level of the saliency map."""
        return map_level(self.shape, self.config)

    @cached_property
    def top_level(self) -> int:
        """The coarsest level that exists."""
        coarsest = TOP_LEVEL - self.octave_shift
        if self.config.small_frames is SmallFrames.CLAMP:
            return coarsest
        return min(coarsest, min(self.shape).bit_length() - 1)

    @cached_property
    def levels(self) -> range:
        """The levels that are stored."""
        return range(self.finest_level, self.top_level + 1)

    def level_shape(self, level: int) -> tuple[int, int]:
        """(height, width) of a level: halved and rounded down, at least 1."""
        height, width = self.shape
        return max(height >> level, 1), max(width >> level, 1)

    @cached_property
    def map_shape(self) -> tuple[int, int]:
        """(height, width) of the saliency map."""
        return sampling(self.shape, self.config).map_shape

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The centre-surround pairs (c, s) that this frame size has."""
        return tuple(
            (c, c + d) for c in self.centre_levels for d in DELTAS if c + d <= self.top_level
        )

    def slot(self, centre: int, surround: int) -> int:
        """Place of a pair among the `SLOTS`."""
        row, column = self.centre_levels.index(centre), DELTAS.index(surround - centre)
        return row * len(DELTAS) + column

    @cached_property
    def corner_level(self) -> int:
        """The level where corners are found; surroundedness is found one above.

        The first whose longer side has at most CORNERS_ACROSS samples, but no higher than leaves
        the next level four samples on the shorter side.
        """
        level = self.finest_level
        while (
            max(self.shape) >> level > CORNERS_ACROSS
            and min(self.shape) >> (level + 2) >= 4
            and level + 2 <= TOP_LEVEL
        ):
            level += 1
        return level

    def nearest_samples(self, level: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the samples of a level nearest to the map's, by axis."""
        rows, columns = (
            ((2 * np.arange(count) + 1) * n // (2 * count)).astype(np.int64)
            for n, count in zip(self.level_shape(level), self.map_shape, strict=True)
        )
        return rows, columns

    # --- features and their planes

    def features_of(self, *, colour: bool = True, past: bool = True) -> tuple[Feature, ...]:
        """The features computed for a colour or a grey frame, with one before it or not."""
        weights = self.config.channel_weights(colour=colour, past=past)
        return tuple(feature for feature in FEATURES if feature.channel in weights)

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The features that have maps in memory, in order: those of any frame of this config."""
        formats = [(colour, past) for colour in (True, False) for past in (True, False)]
        present = set()
        for colour, past in formats:
            if colour or self.takes_grey:
                present |= set(self.features_of(colour=colour, past=past))
        return tuple(feature for feature in FEATURES if feature in present)

    @property
    def takes_grey(self) -> bool:
        """Whether some channel is left for grey frames."""
        return any(
            self.config.has(channel) and not CHANNELS[channel].needs_colour for channel in Channel
        )

    def pixel_planes(self, *, colour: bool = True) -> tuple[str, ...]:
        """Names of the planes made from a frame's pixels; a grey frame's are the first of them."""
        made = [feature for feature in FEATURES if feature.stage == "opponency"]
        grey = [
            feature.name
            for feature in made
            if not CHANNELS[feature.channel].needs_colour
            and (feature.name == "intensity" or self.config.has(feature.channel))
        ]
        coloured = [f.name for f in made if CHANNELS[f.channel].needs_colour]
        return (*grey, *(coloured if colour and self.config.sees_colour else ()))

    def whitened_planes(self, *, colour: bool = True) -> tuple[str, ...]:
        """Names of the planes that are decorrelated, in order."""
        coloured = [f.name for f in FEATURES if CHANNELS[f.channel].needs_colour and colour]
        return ("intensity", *coloured)

    @cached_property
    def planes(self) -> tuple[str, ...]:
        """Names of the planes stored at every level, in order."""
        made = [f.name for f in self.features if f.stage != "opponency"]
        if self.config.has_orientation_pyramid:
            made.append("orientation_pyramid")
        if self.config.has(Channel.MOTION):
            made.append("previous_intensity")
        return (*self.pixel_planes(), *made)

    def normalised_again(self, feature: Feature) -> bool:
        """Whether N is applied to a feature's sum over scales."""
        again = feature.normalised_again
        return getattr(self.config, again) if isinstance(again, str) else again

    @property
    def channels_last(self) -> bool:
        """Whether the caller's channels join the final map, rather than the sum over channels."""
        return self.config.model is not Model.ITTI

    def channel_scale(self, *, colour: bool, past: bool) -> float:
        """What 1 in a caller's map of weight 1 adds to the sum: a lone peak's contribution."""
        config = self.config
        top = PROGRAM_TOPS.get(config.model, LONE_PEAK[config.normalisation])
        return top * config.unit_weight(colour=colour, past=past)

    # --- maps at the map's level

    @property
    def halves(self) -> int:
        """Maps per centre-surround difference: 2 where its sign is split."""
        return 2 if self.config.split_cs else 1

    def map_index(self, feature: Feature, centre: int, surround: int, half: int = 0) -> int:
        """Number of a centre-surround map."""
        place = self.features.index(feature) * SLOTS + self.slot(centre, surround)
        return place * self.halves + half

    @property
    def map_count(self) -> int:
        """How many centre-surround maps have a number."""
        return len(self.features) * SLOTS * self.halves

    @cached_property
    def sums(self) -> tuple[str, ...]:
        """Names of the sums: features, channels, and the saliency map."""
        return (
            *(f"feature/{feature.name}" for feature in self.features),
            *(f"conspicuity/{channel}" for channel in Channel),
            "saliency",
        )

    @property
    def rewrites_maps(self) -> bool:
        """Whether N gives new maps, rather than a scale and an offset for each."""
        return self.config.normalisation is Normalisation.ITERATIVE

    # --- tables of weights

    @property
    def reduction_taps(self) -> np.ndarray:
        """Low-pass of the steps from a centre-surround map to the map's level."""
        return BINOMIAL_9 if self.config.reduction_taps == 9 else BINOMIAL_5

    def steps(self) -> Iterator[Step]:
        """The weights of every downsampling step, by kind and input level."""
        config = self.config
        below = range(self.finest_level, self.map_level)
        kinds = (
            ("pyramid", self.pyramid_taps, range(self.top_level), False),
            (
                "orientation_pyramid",
                BINOMIAL_9,
                range(self.top_level) if config.has_orientation_pyramid else range(0),
                False,
            ),
            ("faded_map", self.reduction_taps, below, config.border_attenuation),
            ("map", self.reduction_taps, below, False),
        )
        for kind, taps, levels, fades in kinds:
            for level in levels:
                shape = self.level_shape(level)
                fade = attenuation(shape, max(shape) // 20 if fades else 0)
                yield Step(kind, level, taps, fade)

    def step_weights(self, step: Step) -> tuple[np.ndarray, ...]:
        """The weights of a step along either axis; see `downsampling_weights`."""
        shape, phase = self.level_shape(step.level), self.config.phase
        return tuple(downsampling_weights(n, step.taps, phase) for n in shape)

    def map_fade(self, *, always: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The border fade of maps at their level, by axis; or 1 where the config has none."""
        shape = self.map_shape
        fades = always or self.config.border_attenuation
        return attenuation(shape, max(shape) // 20 if fades else 0)

    def centre_prior(self) -> tuple[np.ndarray, np.ndarray]:
        """The Gaussian about the frame's middle at the map's samples, by axis."""
        grid, deviation = sampling(self.shape, self.config), self.config.centre_prior
        rows, columns = (
            np.exp(-0.5 * (((step * np.arange(n) + first + 0.5) / side - 0.5) / deviation) ** 2)
            for side, n, step, first in zip(*grid, strict=True)
        )
        return rows, columns

    def orientation_filters(self, level: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """For either axis, 1 / (taps inside the level), and the same times the border fade."""
        shape = self.level_shape(level)
        fades = attenuation(shape, 5 if self.config.border_attenuation else 0)
        inverses = (1 / inside_sum(n, BINOMIAL_9) for n in shape)
        return tuple((each, each * fade) for each, fade in zip(inverses, fades, strict=True))


class Step(NamedTuple):
    """One downsampling step: which planes, from which level, by which weights."""

    kind: str  # "pyramid", "orientation_pyramid", "faded_map" (the first step) or "map"
    level: int  # of the input
    taps: np.ndarray
    fade: tuple[np.ndarray, np.ndarray]  # of the input, by axis


def downsampling_weights(n: int, taps: np.ndarray, phase: Phase) -> np.ndarray:
    """Weights of one pyramid step along one axis, borders and all.

    Output i is the sum over k of weights[i, k] x[2i - reach + k], reach = len(taps) // 2: the
    low-pass, cut and renormalised at the borders, then (centred) the mean of samples 2i and
    2i+1 or (even) sample 2i. Samples outside have weight 0.

    Returns
    -------
    float64 ndarray of shape (max(n // 2, 1), len(taps) + 1)
    """
    reach, count = len(taps) // 2, max(n // 2, 1)

    def low_pass_row(sample: np.ndarray) -> np.ndarray:
        at = sample[:, None] + np.arange(-reach, reach + 1)
        row = np.where((at >= 0) & (at < n), taps, 0.0)
        return row / row.sum(1, keepdims=True)

    first = 2 * np.arange(count)
    weights = np.zeros((count, len(taps) + 1))
    weights[:, :-1] = low_pass_row(first)
    if phase is Phase.CENTRED and n > 1:
        weights /= 2
        weights[:, 1:] += low_pass_row(first + 1) / 2
    return weights


def scatter_weights(weights: np.ndarray, fade: np.ndarray | None = None) -> np.ndarray:
    """The same weights seen from the input, for streaming: what each pair of samples gives.

    Parameters
    ----------
    weights : ndarray of shape (count, taps)
        From `downsampling_weights`.
    fade : ndarray of length n, optional
        Scales the input samples first.

    Returns
    -------
    float64 ndarray of shape (count + 1, taps // 2, 2)
        Entry [p, i, e] is the weight of sample 2p + e in output p - h + i, h = taps // 4.
        The last pair is the odd last sample, or nothing.
    """
    count, taps = weights.shape
    reach, parts = taps // 2 - 1, taps // 2
    out = np.zeros((count + 1, parts, 2))
    for i in range(parts):
        outputs = np.arange(count + 1) - parts // 2 + i
        valid = (outputs >= 0) & (outputs < count)
        for e in (0, 1):
            k = reach + 2 * (parts // 2 - i) + e
            out[valid, i, e] = weights[outputs[valid], k]
    if fade is not None:
        padded = np.zeros(2 * (count + 1))
        padded[: len(fade)] = fade[: len(padded)]
        out *= padded.reshape(-1, 1, 2)
    return out


def attenuation(shape: tuple[int, int], width: int) -> tuple[np.ndarray, np.ndarray]:
    """The border fade of a map, by axis: k / (b + 1) for the k-th sample from the border.

    One width b for both axes, limited by the shorter side, as iNVT does; 1 everywhere if b is 0.

    Examples
    --------
    >>> [fade.round(2).tolist() for fade in attenuation((4, 6), 5)]
    [[0.33, 0.67, 0.67, 0.33], [0.33, 0.67, 1.0, 1.0, 0.67, 0.33]]
    """
    b = min(width, *(n // 2 for n in shape))
    fades = []
    for n in shape:
        fade = np.ones(n)
        fade[:b] = np.arange(1, b + 1) / (b + 1)
        fade[n - b :] = fade[:b][::-1]
        fades.append(fade)
    return fades[0], fades[1]


def inside_sum(n: int, taps: np.ndarray) -> np.ndarray:
    """Sum of the taps that fall inside an axis of `n`, per sample."""
    return np.convolve(np.ones(n), taps)[len(taps) // 2 :][:n]


def gaussian_tables(shape: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Excitation's and inhibition's Gaussians of `iterative` (IK00).

    Each is half of a 1-D kernel from its centre out, cut at 1 %, and its full sum over the sum
    that falls inside the map, by row and by column.
    """
    side, tables = max(shape), []
    for amplitude, sigma in ((0.5, 0.02 * side), (1.5, 0.25 * side)):
        half = int(sigma * np.sqrt(-2 * np.log(0.01)))
        cap = max(0, min(shape) // 2 - 1)  # 0 means no cap
        i = np.arange((min(half, cap) if cap else half) + 1)
        kernel = amplitude / (sigma * np.sqrt(2 * np.pi)) * np.exp(-(i * i) / (2 * sigma**2))
        whole = np.concatenate([kernel[:0:-1], kernel])
        rows, columns = (whole.sum() / inside_sum(n, whole) for n in shape)
        tables.append((kernel, rows, columns))
    return tables


def linear_light(encoded: np.ndarray) -> np.ndarray:
    """Undo the sRGB curve (IEC 61966-2-1), float32."""
    encoded = np.asarray(encoded, np.float64)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)
